"""Selects the configurations to import, by name, by glob, and by what files and state have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from majobctl.job_config.fields import NAME, name_violation
from majobctl.operations.selection import matching
from majobctl.repository.config import Config
from majobctl.state.document import State
from majobctl.text import nearest, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The configurations to import, by what is to be done with them. All in name order."""

    passed_over: tuple[str, ...]
    """In the state, and described by a file."""
    left_out: Mapping[str, str]
    """Names with the reason."""
    wanted: tuple[str, ...]
    """To be read."""


def chosen_names(existing: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Those of ``existing`` that match a name or a glob in ``wanted``, in the same order. Raises
    MajobctlError for one that selects nothing, other than "*"."""

    def unknown(name: str) -> str:
        return f"the service has no configuration {quoted(name)}{nearest(name, existing)}"

    if not existing:
        wanted = [name for name in wanted if name != "*"]
    return matching(wanted, existing, unknown, "nothing was imported")


def select(names: Sequence[str], config: Config, state: State | None) -> Selected:
    """What is to be done with the configurations ``names``, as far as that is known unread."""
    entries = state.job_configs if state else {}
    longest = config.settings.values["jobs"]["max_name_length"]
    renamed_to = {item.renamed_from: item.name for item in config.job_configs.values()}
    passed_over: list[str] = []
    wanted: list[str] = []
    left_out: dict[str, str] = {}
    # One setting for all of them.
    needed = max((len(it) for it in names if NAME.fullmatch(it)), default=longest)
    setting = f"jobs.max_name_length = {needed}"
    for name in names:
        violation = name_violation(name, longest, setting)
        if name in config.job_configs:
            is_known = name in entries and not entries[name].pending
            (passed_over if is_known else wanted).append(name)
        elif name in config.elsewhere:
            place = config.elsewhere[name]
            left_out[name] = f"{place.file}:{place.line} has it for other environments"
        elif violation:
            way = "or copy" if NAME.fullmatch(name) else "copy"
            advice = f"{way} it under such a name in the console, and import the copy"
            left_out[name] = f"{violation.message}; {advice}"
        elif name in renamed_to:
            left_out[name] = (
                f"job_config.{renamed_to[name]} is renamed from it; to have both, remove its"
                " renamed_from"
            )
        else:
            wanted.append(name)
    return Selected(passed_over=tuple(passed_over), left_out=left_out, wanted=tuple(wanted))
