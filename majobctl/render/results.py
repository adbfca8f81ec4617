"""What became of an apply, as text for people."""

from __future__ import annotations

from majobctl.plan.change import CALLS
from majobctl.plan.results import DONE_WORDS, ApplyResult, ChangeResult, ChangeStatus
from majobctl.text import printable


def result_line(result: ChangeResult) -> str:
    """One finished change, as it is told while an apply runs."""
    name = f"job_config.{printable(result.name)}"
    if result.outcome is not ChangeStatus.DONE:
        return f"{name}: {result.outcome.value}: {_reason(result)}"
    word = DONE_WORDS[result.action]
    seconds = f" ({result.seconds:.1f} s)" if result.action in CALLS else ""
    return f"{name}: {word}{seconds}"


def result_text(result: ApplyResult) -> str:
    """What failed, what was not attempted, and the summary as the last line."""
    lines: list[str] = []
    for end in _NOT_DONE:
        items = [item for item in result.results if item.outcome is end]
        if items:
            lines += [f"{end.value.capitalize()}:", *(_not_done(item) for item in items), ""]
    always = ("added", "updated", "forgotten", "failed")
    counts = [(key.replace("_", " "), count) for key, count in result.summary().items()]
    told = [f"{count} {words}" for words, count in counts if count or words in always]
    head = "Apply complete" if result.is_complete else "Apply incomplete"
    lines.append(f"{head}: {', '.join(told)}. State serial {result.serial}.")
    return "\n".join(lines) + "\n"


_NOT_DONE = [end for end in ChangeStatus if end is not ChangeStatus.DONE]


def _not_done(item: ChangeResult) -> str:
    line = f"  job_config.{printable(item.name)}"
    if item.message:
        line += f": {_reason(item)}"
    return f"{line}\n      {item.advice}" if item.advice else line


def _reason(item: ChangeResult) -> str:
    return printable(f"{item.code} {item.message}".strip())
