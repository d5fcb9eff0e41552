"""Configs: from a TOML file to a checked value that lists its cells."""
