"""The header Retry-After: how long a server asks to wait."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = 60.0
"""In seconds; a longer Retry-After is cut to this."""


def read_retry_after(value: str, now: datetime, most: float = MAX_RETRY_AFTER) -> float | None:
    """The seconds that a Retry-After header asks to wait, at most ``most``; None if it
    is neither a number of seconds nor an HTTP date."""
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return min(float(value), most)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return min(max((moment - now).total_seconds(), 0.0), most)
