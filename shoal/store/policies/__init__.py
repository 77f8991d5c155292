"""What leaves a store first where something has to, one file a policy."""
