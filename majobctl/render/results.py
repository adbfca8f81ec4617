"""The result of an apply as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from majobctl.plan.change import CALLS
from majobctl.plan.guard import field_sentence
from majobctl.plan.results import ApplyResult, ChangeResult, ChangeStatus
from majobctl.render.wording import DONE_WORDS
from majobctl.text import printable


def result_line(result: ChangeResult, *, is_explained_later: bool = False) -> str:
    """The line about a finished change while an apply runs; without the reason why it was not done
    if its reader ``is_explained_later``, by ``result_text``."""
    name = f"job_config.{printable(result.name)}"
    if is_explained_later and result.status is not ChangeStatus.DONE:
        return f"{name}: {result.status.value}"
    if result.status is ChangeStatus.CHANGED_MEANWHILE:
        return f"{name}: {_reason(result)}"
    if result.status is not ChangeStatus.DONE:
        return f"{name}: {result.status.value}: {_reason(result)}"
    seconds = f" ({result.seconds:.1f} s)" if result.action in CALLS else ""
    return f"{name}: {DONE_WORDS[result.action]}{seconds}"


def result_counts(result: ApplyResult) -> dict[str, int]:
    """How many changes ended in each way; what is not verified counts as done, too."""
    done = Counter(item.action for item in result.results if item.is_acknowledged)
    return {
        **{word: done[action] for action, word in DONE_WORDS.items()},
        **{status.value: result.count(status) for status in ChangeStatus if status.value != "done"},
    }


def result_text(result: ApplyResult) -> str:
    """What failed, what was not attempted, and the summary as the last line."""
    lines: list[str] = []
    for status in ChangeStatus:
        items = [item for item in result.results if item.status is status]
        if items and status is not ChangeStatus.DONE:
            is_short = status is ChangeStatus.NOT_ATTEMPTED
            shown = _not_attempted(items) if is_short else map(_not_done, items)
            lines += [f"{status.value.capitalize()}:", *shown, ""]
    undone = [
        it for it in result.results if it.is_acknowledged and (it.foreign or it.unknown_fields)
    ]
    if undone:
        lines += ["Undone in the service:", *map(_undone, undone), ""]
    refused = dict.fromkeys(item.advice for item in result.results if item.is_about_credentials)
    if refused:
        lines += ["The service refused the credentials; no further call was begun."]
        lines += [f"    {'; '.join(refused)}; then apply again", ""]
    counts = result_counts(result).items()
    parts = ", ".join(f"{count} {words}" for words, count in counts if count)
    head = "Apply complete" if result.is_complete else "Apply incomplete"
    # What was not saved has no serial yet.
    serial = "" if result.problem else f" State serial {result.serial}."
    return "\n".join([*lines, f"{head}: {parts}.{serial}\n"])


def _undone(item: ChangeResult) -> str:
    fields = [field_sentence(field, item.action) for field in item.foreign]
    if item.unknown_fields:
        fields.append(f"{', '.join(item.unknown_fields)}: may have been removed")
    return f"  job_config.{printable(item.name)}: {'; '.join(fields)}"


def _not_done(item: ChangeResult) -> str:
    line = f"  job_config.{printable(item.name)}"
    if item.message:
        line += f": {_reason(item)}{_about_answer(item)}"
    # What to do about credentials comes once, at the end.
    return line if item.is_about_credentials or not item.advice else f"{line}\n      {item.advice}"


def _not_attempted(items: Iterable[ChangeResult]) -> Iterator[str]:
    """All that have the same reason, together; there may be thousands."""
    names: dict[str, list[str]] = {}
    for item in items:
        names.setdefault(_reason(item), []).append(f"job_config.{printable(item.name)}")
    for reason, found in names.items():
        yield f"  {', '.join(found)}" + (f": {reason}" if reason else "")


def _about_answer(item: ChangeResult) -> str:
    """What the service's support asks for, as far as the message does not have it."""
    parts = [f"HTTP status {item.http_status}"] * bool(item.http_status)
    parts += [f"request id {item.request_id}"] * bool(item.request_id)
    found = [printable(part) for part in parts if part not in item.message]
    return f" ({', '.join(found)})" if found else ""


def _reason(item: ChangeResult) -> str:
    return printable(f"{item.code} {item.message}".strip())
