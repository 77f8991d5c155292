"""Drivers: streaming, batching, replicas, failover; one file each, found by folder."""
