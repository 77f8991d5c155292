"""Kinds of language models: the model_type of a configuration is the name of the file that reads it."""
