"""What was applied last: its document, its journal, and the backends that keep their bytes."""
