"""Tests of the emulator, over its own HTTP server wherever a request is made."""
