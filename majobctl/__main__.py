"""``python -m majobctl`` is the command."""

import os
import sys
from contextlib import suppress

with suppress(OSError):
    # Python puts the current folder first, which may be an untrusted clone with a filelock.py.
    if os.path.samefile(sys.path[0] or ".", "."):
        del sys.path[0]

from majobctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
