"""What is wrapped around a format."""
