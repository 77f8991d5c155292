"""Small trained language models that come with shoal, one file a kind: real weights to try mechanisms on."""

from shoal.llm.tiny._folder import save_folder
from shoal.llm.tiny.contract import Tiny, tiny

__all__ = ["Tiny", "save_folder", "tiny"]
