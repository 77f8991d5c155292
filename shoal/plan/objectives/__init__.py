"""What can be made best, one file each; all are minimised."""
