"""One exchange over HTTP, with whatever service: proxies, certificates, deadlines and failures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ID = rb"([\w.:-]{1,100})"
_REQUEST_ID = re.compile(rb'"request_id"\s*:\s*"%b"' % _ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete HTTP response; the names in ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """What the service's support asks for, in the body or else a header; "" for a text that no
        service would make. Safe to print."""
        header = self.headers.get("x-request-id", "").encode()
        match = _REQUEST_ID.search(self.body) or re.fullmatch(_ID, header)
        return match[1].decode() if match else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoResponse:
    """Why no complete response came. ``was_sent`` is false if the service certainly received
    nothing, ``is_final`` true if another try would fail in the same way."""

    reason: str
    was_sent: bool
    is_final: bool = False
