"""Models larger than memory: their weights in a store, fetched for the products that they are in."""
