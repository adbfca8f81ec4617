"""Plans: pure values and functions, without I/O and without a clock."""
