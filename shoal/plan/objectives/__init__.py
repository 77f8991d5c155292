"""What can be made best, one file each; all are minimised.

Each has a value in a plan's estimate (`predicted`) and, where a run can tell, in the run (`obtained`), both in `unit`;
`figure` is the figure of a run that the value is made of, whose provenance it shares.
"""
