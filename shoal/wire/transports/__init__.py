"""Transports: memory, shared memory, TCP and MPI; one file each, found by folder."""
