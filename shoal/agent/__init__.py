"""What runs on a device of a living fleet: joins it, keeps its files, runs its workers; and the hub it talks to."""
