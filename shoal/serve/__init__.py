"""A service over HTTP: requests, health, metrics, and a page that shows the fleet as it is."""
