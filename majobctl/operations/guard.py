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
from majobctl.plan.change import SENDING, Action, Change, Params, Reason
from majobctl.plan.guard import (
    GUARDED,
    Allowed,
    field_sentence,
    fields_of_old_name,
    foreign_fields,
    left_by_pull,
    may_remove_unknown,
    with_live,
    with_old_name,
)
from majobctl.plan.results import ChangeResult, ChangeStatus, result_of
from majobctl.service.codes import MISSING, NOT_FOUND, advice_on
from majobctl.service.provider import Provider
from majobctl.state.backends.lease import Clock, Moment, is_within
from majobctl.state.document import Entry
from majobctl.text import environment_flag, printable

_FRESH = 1
"""Seconds from the beginning of an apply, in which what it read is still right before its calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of one apply. ``params_of`` returns the params of a change with its secrets.
    ``creates_missing``: what the service does not have is created. ``entries`` are the state's,
    ``renamed_to`` what is desired under the new names, by the old ones. What the plan read since
    ``fresh_since`` is not read again for a second after that, by both clocks of a lease."""

    provider: Provider
    masker: Maskers
    params_of: Callable[[Change], Params]
    allowed: Allowed
    creates_missing: bool = False
    environment: str = ""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    renamed_to: Mapping[str, Params] = field(default_factory=dict)
    fresh_since: Moment | None = None

    def reads(self, change: Change) -> bool:
        return change.was_read or (not self.allowed.is_blind and change.action in GUARDED)

    def check(self, change: Change) -> Change | ChangeResult:
        """The change as it is to be sent, or how it ended without a call."""
        if not self.reads(change):
            return change
        if change.was_read:
            held_back = self._held_back(change, self.allowed.is_reviewed)
            # What is missing may be missing only in a list.
            is_fresh = change.live_digest and self._is_fresh()
            return held_back or (self._checked(change) if is_fresh else self._unchanged(change))
        live = self._read(change)
        if isinstance(live, ChangeResult):
            return live
        found = self._with_old_name(self._with_live(change, live))
        if isinstance(found, ChangeResult):
            return found
        return self._held_back(found) or self._checked(found)

    def _is_fresh(self) -> bool:
        since = self.fresh_since
        return since is not None and is_within(_FRESH, since, Clock().now())

    def without_secrets(self, change: Change, text: str) -> str:
        """``text``, written by the service, with no secret of ``change`` in it."""
        if change.after is None:
            return text
        return without_traces(text, secret_texts(change.after, self.params_of(change)))

    def _with_live(self, change: Change, live: LiveConfig | None) -> Change:
        entry, new = self.entries.get(change.name), self.renamed_to.get(change.name)
        attempted = [*(entry.sides[1:] if entry and entry.pending else ())]
        attempted += [new] if new else []
        return with_live(change, live, self.masker(change.name), attempted)

    def _with_old_name(self, change: Change) -> Change | ChangeResult:
        """``change`` with what the service has under its old name, unless the files win."""
        entry = self.entries.get(change.old_name)
        if entry is None or self.allowed.overwrites:
            return change
        live = self._read(change, change.old_name)
        if not isinstance(live, LiveConfig):
            return live or change
        params = self.params_of(change)
        return with_old_name(change, live, entry.sides, params, self.masker(change.name))

    def _unchanged(self, change: Change) -> Change | ChangeResult:
        """Whether the service still has what the plan saw."""
        live = self._read(change)
        if isinstance(live, ChangeResult):
            return live
        digest, what = change.live_digest, "it was changed" if live else "it was deleted"
        if self.masker(change.name).made(digest, live.seen) if live else not digest:
            found = self._with_old_name(
                replace(change, unknown_fields=live.unknown_fields if live else ())
            )
            if isinstance(found, ChangeResult):
                return found
            if fields_of_old_name(found) == fields_of_old_name(change):
                return self._held_back(found, True) or self._checked(found)
            what = "its old name was changed"
        elif change.is_missing:
            what = "it was created"
        if self.allowed.overwrites and live and change.live_digest and change.action in GUARDED:
            return self._checked(self._with_live(change, live))
        message = f"{what} in the service after the plan was made; nothing was sent"
        plan = f"`majobctl plan{environment_flag(self.environment)} --refresh`"
        advice = f"run {plan} and review what was changed in the service"
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
        reasons = [_OLD_NAME] if fields_of_old_name(change) else []
        if len(foreign) > len(fields_of_old_name(change)):
            reasons.insert(0, _REASONS[change.action])
        message = "; ".join([*reasons, f"nothing was sent: {'; '.join(found)}"])
        held = result_of(change, ChangeStatus.HELD_BACK, message)
        advice = self._ways_out(change, [item.path for item in foreign])
        return replace(held, advice=advice, foreign=foreign, unknown_fields=unknown)

    def _ways_out(self, change: Change, foreign: Sequence[Path]) -> str:
        """How to keep what the service has, and how to undo it."""
        name = printable(change.name)
        option = environment_flag(self.environment)
        if change.action is Action.DELETE or not change.source:
            keep = f"put [job_config.{name}] back into a job file"
            if change.source:
                keep = f"put this environment back into `environments` of job_config.{name}"
            otherwise = "to delete it all the same"
        elif foreign and change.references.keys() >= set(foreign):
            keep, otherwise = "set the variable of that secret to it", "to undo it"
        elif foreign:
            keep = self._keeping(change, f"majobctl pull{option} {name}")
            keep += " (or `git pull`, if a colleague applied it)"
            otherwise = "to undo it"
        else:
            keep, otherwise = "make your change in the console", "to send yours all the same"
        reasons = {it.reason for it in change.fields}
        if change.action is Action.UPDATE and reasons == {Reason.CHANGED}:
            option += " --refresh"  # without it, a plan has nothing to do
        command = f"majobctl apply{option} --overwrite --target {name}"
        if fields_of_old_name(change):
            otherwise = "to go on without it"
            command += f" --target {printable(change.old_name)}"
        return f"to keep what the service has, {keep}; {otherwise}, run `{command}`"

    def _keeping(self, change: Change, pull: str) -> str:
        """How the files get what ``change`` undoes."""
        left, file = left_by_pull(change), printable(change.source.file if change.source else "")
        whys = "; ".join(dict.fromkeys(map(printable, left.values())))
        if any(item.dotted not in left for item in foreign_fields(change)):
            them = ", ".join(map(printable, left))
            rest = f", and write {them} into {file} yourself: {whys}" if left else ""
            return f"run `{pull}`{rest}"
        return f"write it into {file} yourself: {whys}"

    def _read(self, change: Change, name: str = "") -> LiveConfig | ChangeResult | None:
        """The configuration; that of ``name``, its old one, if that is given."""
        try:
            return self.provider.read_job_config(name or change.name)
        except ProviderError as error:
            reason = self.without_secrets(change, str(error))
            again = " again" if change.was_read and not name else ""
            it = "its old name" if name else "it"
            message = f"{it} could not be read{again}, and nothing was sent: {reason}"
            return replace(
                result_of(change, ChangeStatus.FAILED, message),
                http_status=error.status,
                request_id=self.without_secrets(change, error.request_id),
                may_pass=error.may_pass,
                is_about_credentials=error.is_about_credentials,
                advice=advice_on(getattr(error, "code", ""), error.is_about_credentials),
            )


_OLD_NAME = "somebody changed it in the service under its old name since the last apply"
_REASONS = {
    Action.ADD: "the state does not know it, and the service has it with other values",
    Action.UPDATE: "somebody changed it in the service since the last apply",
    Action.RESEND: "somebody changed it in the service since it was last sent, if it was",
    Action.DELETE: "somebody changed it in the service since the last apply",
}
