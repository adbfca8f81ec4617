"""What a job config is: its keys, values, checks, rules and secrets."""
