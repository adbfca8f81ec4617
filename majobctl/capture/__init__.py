"""Runs a script with a recording stand-in in place of the ModelArts SDK. Imports nothing of
majobctl: the stand-in runs in a process of its own."""
