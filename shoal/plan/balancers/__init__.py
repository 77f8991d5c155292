"""Ways to share the work of a layer's experts among the devices that hold them, one file each."""
