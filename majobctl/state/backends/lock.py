"""Who holds a lock, and whether that process may still be alive."""

from __future__ import annotations

import os
import platform
import uuid

from majobctl.state.backends import Holder
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.text import printable, utc_now


def this_process(command: str) -> Holder:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A user in a container may have no name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return Holder(
        id=uuid.uuid4().hex[:12],
        user=printable(user),
        host=platform.node(),
        pid=os.getpid(),
        command=printable(command),
        since=utc_now(),
    )


def holder_of(content: bytes) -> Holder | None:
    """The holder in the file beside a lock. None if it is damaged: it is written atomically, so
    majobctl did not write it."""
    try:
        return holder_in(Node(parse_object(content)))
    except JsonError:
        return None


def holder_in(node: Node) -> Holder:
    """Raises JsonError."""
    keys = ("id", "user", "host", "command", "since")
    texts = {key: printable(node[key].text()) for key in keys}
    return Holder(**texts, pid=node["pid"].integer())


def lives_here(holder: Holder) -> bool:
    return holder.host == platform.node() and may_live(holder)


def may_live(holder: Holder) -> bool:
    """False only if the holder is certainly gone."""
    if holder.host != platform.node() or os.name == "nt":
        return True
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True
