"""Ways to tell what coding one layer alone costs a network."""
