"""Other systems running the same work, each in an interpreter of its own."""
