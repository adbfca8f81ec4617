"""A stand-in for the official package: the documented surface, and no service behind it."""
