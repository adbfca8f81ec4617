"""The settings of a config repository, ``majobctl.toml``."""
