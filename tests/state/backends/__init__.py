"""Tests of the places of a state that a team shares."""
