"""The ModelArts client."""
