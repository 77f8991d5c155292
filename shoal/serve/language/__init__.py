"""Language models over HTTP: OpenAI's chat and completion routes, answered whole or word by word."""

from shoal.serve.language.app import LanguageModel, language_app

__all__ = ["LanguageModel", "language_app"]
