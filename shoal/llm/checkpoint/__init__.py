"""Trained language models as files: a Hugging Face folder or a GGUF file; opened, converted once, kept by content."""

from shoal.llm.checkpoint.kept import Kept, Wanted, prepared
from shoal.llm.checkpoint.opened import Checkpoint, opened
from shoal.llm.checkpoint.stored import as_module
from shoal.llm.checkpoint.text import Text

__all__ = ["Checkpoint", "Kept", "Text", "Wanted", "as_module", "opened", "prepared"]
