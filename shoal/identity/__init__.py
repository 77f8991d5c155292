"""Who is who in a fleet: its certificate authority, the certificates it gives, and invitations to join."""
