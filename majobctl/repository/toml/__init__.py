"""TOML files as data, with the position of each key."""
