"""The config repository: TOML in, TOML out."""
