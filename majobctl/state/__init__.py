"""What was applied last: its document, its journal and where they are kept."""
