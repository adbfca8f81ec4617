"""What writes or describes TOML."""
