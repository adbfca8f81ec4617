"""The guard: reads a configuration right before its call, and decides whether it may be sent.

One worker reads and sends, one after the other, so that the time between the two is as short as it
can be. The service has no versions, so what is changed in that moment is still undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from majobctl.errors import ProviderError
from majobctl.job_config.live import LiveConfig, unknown_sentence
from majobctl.job_config.redaction import secret_texts, without_traces
from majobctl.job_config.secrets import Maskers
from majobctl.job_config.violations import Path
from majobctl.plan.change import SENDING, Action, Change, Params
from majobctl.plan.guard import (
    GUARDED,
    Allowed,
    field_sentence,
    foreign_fields,
    may_be_pulled,
    may_remove_unknown,
    with_live,
)
from majobctl.plan.results import ChangeResult, ChangeStatus, result_of
from majobctl.service.codes import MISSING, NOT_FOUND, advice_on
from majobctl.service.provider import Provider
from majobctl.text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of one apply. ``params_of`` returns the params of a change with its secrets.
    ``creates_missing``: what the service does not have is created. ``attempted`` has what calls
    without a known outcome sent."""

    provider: Provider
    masker: Maskers
    params_of: Callable[[Change], Params]
    allowed: Allowed
    creates_missing: bool = False
    environment: str = ""
    attempted: Mapping[str, Sequence[Params]] = field(default_factory=dict)

    def reads(self, change: Change) -> bool:
        return change.was_read or (not self.allowed.is_blind and change.action in GUARDED)

    def check(self, change: Change) -> Change | ChangeResult:
        """The change as it is to be sent, or how it ended without a call."""
        if not self.reads(change):
            return change
        if change.was_read:
            return self._held_back(change, self.allowed.is_reviewed) or self._unchanged(change)
        live = self._read(change)
        if isinstance(live, ChangeResult):
            return live
        found = self._with_live(change, live)
        return self._held_back(found) or self._checked(found)

    def without_secrets(self, change: Change, text: str) -> str:
        """``text``, written by the service, with no secret of ``change`` in it."""
        if change.after is None:
            return text
        return without_traces(text, secret_texts(change.after, self.params_of(change)))

    def _with_live(self, change: Change, live: LiveConfig | None) -> Change:
        attempted = self.attempted.get(change.name, ())
        return with_live(change, live, self.masker(change.name), attempted)

    def _unchanged(self, change: Change) -> Change | ChangeResult:
        """Whether the service still has what the plan saw."""
        live = self._read(change)
        if isinstance(live, ChangeResult):
            return live
        digest = change.live_digest
        if self.masker(change.name).made(digest, live.seen) if live else not digest:
            found = replace(change, unknown_fields=live.unknown_fields if live else ())
            return self._held_back(found, True) or self._checked(found)
        if self.allowed.overwrites and live and change.live_digest and change.action in GUARDED:
            return self._checked(self._with_live(change, live))
        what = "was created" if change.is_missing else "was changed" if live else "was deleted"
        message = f"it {what} in the service after the plan was made; nothing was sent"
        advice = "run `majobctl plan --refresh` and review what was changed in the service"
        return replace(result_of(change, ChangeStatus.CHANGED_MEANWHILE, message), advice=advice)

    def _checked(self, change: Change) -> Change | ChangeResult:
        """``change``, which nothing holds back; the service was just read for it."""
        if change.action in (Action.RECORD, Action.FORGET):
            return result_of(change, ChangeStatus.DONE)
        if not (change.is_missing and change.action in SENDING):
            return change
        if change.action is Action.CREATE or self.creates_missing:
            return replace(change, action=Action.CREATE)
        message = "the service does not have it; nothing was sent"
        failed = result_of(change, ChangeStatus.FAILED, message)
        return replace(failed, code=NOT_FOUND, advice=MISSING)

    def _held_back(self, change: Change, is_shown: bool = False) -> ChangeResult | None:
        """How ``change`` ended if it undoes more than is allowed. What no key can express is not
        shown side by side, so that only the files' winning is consent."""
        foreign = () if is_shown else foreign_fields(change)
        unknown = change.unknown_fields if may_remove_unknown(change) else ()
        if self.allowed.overwrites or not (foreign or unknown):
            return None
        found = [field_sentence(item, change.action) for item in foreign]
        found += [f"the service has {unknown_sentence(unknown)}"] if unknown else []
        reason = f"{_REASONS[change.action]}; " if foreign else ""
        message = f"{reason}nothing was sent: {'; '.join(found)}"
        held = result_of(change, ChangeStatus.HELD_BACK, message)
        advice = self._ways_out(change, [item.path for item in foreign])
        return replace(held, advice=advice, foreign=foreign, unknown_fields=unknown)

    def _ways_out(self, change: Change, foreign: Sequence[Path]) -> str:
        """How to keep what the service has, and how to undo it."""
        name = printable(change.name)
        option = f" -e {printable(self.environment)}" if self.environment else ""
        if change.action is Action.DELETE or not change.source:
            keep = f"put [job_config.{name}] back into a job file"
            if change.source:
                keep = f"put this environment back into `environments` of job_config.{name}"
            otherwise = "to delete it all the same"
        elif foreign and change.references.keys() >= set(foreign):
            keep, otherwise = "set the variable of that secret to it", "to undo it"
        elif foreign:
            keep = f"write it into {printable(change.source.file)}"
            keep = f"run `majobctl pull{option} {name}`" if may_be_pulled(change) else keep
            keep += " (or `git pull`, if a colleague applied it)"
            otherwise = "to undo it"
        else:
            keep, otherwise = "make your change in the console", "to send yours all the same"
        command = f"majobctl apply{option} --overwrite --target {name}"
        return f"to keep what the service has, {keep}; {otherwise}, run `{command}`"

    def _read(self, change: Change) -> LiveConfig | ChangeResult | None:
        try:
            return self.provider.read_job_config(change.name)
        except ProviderError as error:
            reason = self.without_secrets(change, str(error))
            again = " again" if change.was_read else ""
            message = f"it could not be read{again}, and nothing was sent: {reason}"
            return replace(
                result_of(change, ChangeStatus.FAILED, message),
                http_status=error.status,
                request_id=self.without_secrets(change, error.request_id),
                may_pass=error.may_pass,
                is_about_credentials=error.is_about_credentials,
                advice=advice_on(getattr(error, "code", ""), error.is_about_credentials),
            )


_REASONS = {
    Action.ADD: "the state does not know it, and the service has it with other values",
    Action.UPDATE: "somebody changed it in the service since the last apply",
    Action.RESEND: "somebody changed it in the service since it was last sent, if it was",
    Action.DELETE: "somebody changed it in the service since the last apply",
}
