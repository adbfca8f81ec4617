"""The rules of a config repository: what they say, and which job configs break them."""
