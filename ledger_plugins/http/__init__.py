"""HTTP that cannot be held: what each server here has between a socket and its answers."""
