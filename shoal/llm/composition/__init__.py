"""Many whole models of one shape, a router in front of them: each request goes to one."""
