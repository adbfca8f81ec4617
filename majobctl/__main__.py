"""``python -m majobctl`` is the command."""

import sys

from majobctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
