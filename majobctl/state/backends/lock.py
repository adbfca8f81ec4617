"""Who holds a lock, and whether that process may still be alive."""

from __future__ import annotations

import os
import platform
import uuid

from majobctl.state.backends import Holder
from majobctl.text import utc_now

_LOOK_AGAIN_SECONDS = 0.1

_SAYS_SO_WITHIN_SECONDS = 1.0


def this_process(command: str) -> Holder:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return Holder(uuid.uuid4().hex[:12], user, platform.node(), os.getpid(), command, utc_now())


def may_live(holder: Holder) -> bool:
    if holder.host != platform.node() or os.name == "nt":
        return True
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True
