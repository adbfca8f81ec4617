"""Sets the clock of the commands that a page runs to DOCS_NOW, in UTC."""

import datetime
import os
import time

_NOW, _TIME = datetime.datetime, time.time
_SHIFT = _NOW.fromisoformat(f"{os.environ['DOCS_NOW']}+00:00") - _NOW.now(datetime.timezone.utc)


class _Shifted(_NOW):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _NOW.now(tz) + _SHIFT


datetime.datetime = _Shifted  # type: ignore[misc]
time.time = lambda: _TIME() + _SHIFT.total_seconds()
