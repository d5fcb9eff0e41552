"""A federation of real devices."""
