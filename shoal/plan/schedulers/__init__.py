"""Ways to schedule a task graph on unlike processors, one file each."""
