"""Tests of job configs."""
