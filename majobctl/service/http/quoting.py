"""Keeps what an answer quotes of the request's credentials from getting any further."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from majobctl.errors import ServiceError, TransportError
from majobctl.job_config.redaction import forms_of, without_traces
from majobctl.service.http.responses import Failure

_MIN_LENGTH = 4
"""A shorter secret protects nothing, and is in many words."""
_ENOUGH = 24
"""Characters of a token or a signature that nothing else has."""


class QuoteFilter:
    """Knows the secrets of one call; ``secrets`` are those of the session."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= _MIN_LENGTH}
        self._sent: set[str] = set()

    def add(self, headers: Mapping[str, str]) -> None:
        """Adds what the ``headers`` of a try hold: a token, or a signature."""
        tokens = (headers.get(name, "") for name in ("X-Auth-Token", "X-Security-Token"))
        self._sent.update({*tokens, headers.get("Authorization", "").rpartition("=")[2]} - {""})

    def shown(self, text: str) -> str:
        return without_traces(text, self._secrets | self._sent, None)

    def checked(self, found: dict[str, Any] | Failure, *, data: bool) -> dict[str, Any] | Failure:
        """``found``, read from an answer; a failure shows no secret. ``data`` with a secret of the
        request is a failure, too: it would be shown, and kept."""
        if isinstance(found, Failure):
            self._clean(found.error)
        elif data and self._is_quoted_in(json.dumps(found, ensure_ascii=False)):
            text = "the answer has credentials of the request in it, and is not used"
            return Failure(error=TransportError(text, outcome_unknown=False))
        return found

    def _is_quoted_in(self, text: str) -> bool:
        # All tokens begin alike, and data may be large: whoever quotes half of one has its middle.
        parts = (it[len(it) // share :][:_ENOUGH] for it in self._sent for share in (2, 4))
        return any(it in text for part in parts for it in forms_of(part) if len(it) >= len(part))

    def _clean(self, error: ServiceError | TransportError) -> None:
        # The texts of an error have bounds already.
        error.args = (self.shown(str(error)),)
        error.request_id = self.shown(error.request_id)
        if isinstance(error, ServiceError):
            error.code, error.reason = self.shown(error.code), self.shown(error.reason)
