"""What `shoal join` runs on a device: it offers the device, keeps bundles, starts and ends workers."""
