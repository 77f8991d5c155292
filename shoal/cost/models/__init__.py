"""Cost models, one file each, found by folder: key in, Estimate out."""
