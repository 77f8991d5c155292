"""Ways to hand out the tasks of arriving jobs, one file each."""
