"""From job files to job configs."""
