"""Language models larger than memory: their weights in a tensor store, held while they are used."""
