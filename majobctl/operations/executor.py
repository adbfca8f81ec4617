"""Carries out one change with the provider: checks, calls, reads back. It keeps no record."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from majobctl.errors import ProviderError
from majobctl.job_config.secrets import SHOWN, masked_places
from majobctl.job_config.violations import Path
from majobctl.operations.guard import Guard
from majobctl.plan.change import Action, Change, FieldChange
from majobctl.plan.diff import field_changes
from majobctl.plan.guard import undone_fields
from majobctl.plan.results import ChangeResult, ChangeStatus, result_of
from majobctl.service.codes import MISSING, advice_on
from majobctl.service.sdk_calls import CallResult, CallStatus
from majobctl.text import complete, printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeExecutor:
    """Makes the calls of one apply; its ``guard`` is asked before. ``verifies``: each configuration
    is read back once it is written."""

    guard: Guard
    verifies: bool = False

    def execute(self, change: Change, earlier: ChangeResult | None) -> ChangeResult:
        """Makes the call of a change; ``earlier`` is the result of its first try, if any."""
        start = time.monotonic()
        action, call = self._send(change)
        seconds = time.monotonic() - start
        result = replace(result_of(change, ChangeStatus.DONE), action=action, seconds=seconds)
        if call.status is CallStatus.DONE:
            foreign, unknown = undone_fields(change), change.unknown_fields
            return self._verified(replace(result, foreign=foreign, unknown_fields=unknown), change)
        # If the first try may have been carried out, this one does not say.
        was_unknown = earlier is not None and earlier.status is ChangeStatus.UNKNOWN
        is_refused = call.status is CallStatus.REFUSED and not was_unknown
        code = self.guard.without_secrets(change, call.code)
        advice = MISSING if call.is_missing else advice_on(code, call.is_about_credentials)
        return replace(
            result,
            status=ChangeStatus.FAILED if is_refused else ChangeStatus.UNKNOWN,
            code=code,
            message=self.guard.without_secrets(change, call.message),
            http_status=call.http_status,
            request_id=self.guard.without_secrets(change, call.request_id),
            advice=advice if is_refused or call.is_about_credentials else _APPLY_AGAIN,
            may_pass=call.may_pass,
            is_about_credentials=call.is_about_credentials,
        )

    def _send(self, change: Change) -> tuple[Action, CallResult]:
        if change.action is Action.DELETE:
            return change.action, self.guard.provider.delete_job_config(change.name)
        params = self.guard.params_of(change)
        if change.action is Action.CREATE:
            return change.action, self.guard.provider.create_job_config(change.name, params)
        outcome = self.guard.provider.update_job_config(change.name, params, change.cleared)
        # What the plan saw and is gone now was deleted by somebody: it is not created again.
        may_create = self.guard.creates_missing and not change.live_digest
        if may_create and outcome.is_missing:
            return Action.CREATE, self.guard.provider.create_job_config(change.name, params)
        return change.action, outcome

    def _verified(self, result: ChangeResult, change: Change) -> ChangeResult:
        if not self.verifies:
            return result
        try:
            live = self.guard.provider.read_job_config(change.name)
        except ProviderError as error:
            if error.is_about_credentials:
                advice = advice_on(getattr(error, "code", ""), True)
                result = replace(result, is_about_credentials=True, advice=advice)
            wrong = [f"it could not be read back: {self.guard.without_secrets(change, str(error))}"]
        else:
            if change.action is Action.DELETE:
                wrong = ["the service still has it"] if live else []
            elif live is None:
                wrong = ["the service does not have it"]
            else:
                sent = self.guard.params_of(change)
                found = field_changes(sent, live.params_as(sent))
                sides = (change.before or {}, change.after or {})
                hidden = {place for side in sides for place in masked_places(side)}
                wrong = list(_differences(found, hidden))
        if not wrong:
            return result
        return replace(
            result,
            status=ChangeStatus.UNVERIFIED,
            message="; ".join(wrong),
            advice=result.advice or _LOOK,
        )


_LOOK = "majobctl drift shows what the service has"
_APPLY_AGAIN = "apply again: it will be sent once more"


def _differences(found: tuple[FieldChange, ...], hidden: Collection[Path]) -> Iterator[str]:
    """What the service did not take as sent, without the values at the ``hidden`` places."""
    for item in found:
        path = printable(".".join(item.path))
        if any(place[: len(item.path)] == item.path[: len(place)] for place in hidden):
            yield f"{path} {SHOWN} is not as it was sent"
        elif item.before is None:
            # The service's own value may be a secret that is not declared.
            yield f"{path} is set, but blank was sent"
        else:
            yield f"{path} is {complete(item.after)}, but {complete(item.before)} was sent"
