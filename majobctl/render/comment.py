"""The plans of all environments as one comment of a pull request, and how it is found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from majobctl.errors import Problem
from majobctl.plan.plan import Plan
from majobctl.render.markdown import plan_markdown
from majobctl.render.markdown_blocks import MAX_BYTES, Block, item, joined, size, take
from majobctl.render.wording import summary
from majobctl.text import printable

_MOST_PROBLEMS = 20
_LINES_BYTES = 500
"""Of the lines around those of the problems."""


def marker(what: str, environments: Sequence[str], folder: str = ".") -> str:
    """The first line of a comment about ``environments`` of the config repository in ``folder``."""
    names = [quote(it, safe="") for it in environments if it]
    names += ["in", quote(folder)] if folder != "." else []
    return f"<!-- majobctl {what}{':' if names else ''}{''.join(f' {it}' for it in names)} -->"


def plans_markdown(
    plans: Mapping[str, Plan | Sequence[Problem]], commit: str, job: str, most: int
) -> str:
    """A section for each environment, in ``most`` bytes: the plan, or what is wrong in the files if
    there is none. ``job`` is the address of the job that made them."""
    plans_of, each = ("Plans of", "each of them") if len(plans) > 1 else ("Plan of", "it")
    head = f"{plans_of} {printable(commit[:8])}. [The job]({job}) keeps {each} as a page, too."
    parts = [head]
    left = most - size(parts[0])
    for number, (environment, plan) in enumerate(plans.items()):
        head = f"## {printable(environment)}\n\n" if environment else ""
        share = min(MAX_BYTES, left // (len(plans) - number)) - size(head)
        parts.append(head + _section(plan, job, share).rstrip("\n"))
        left -= size(parts[-1])
    return joined(parts)


def _section(plan: Plan | Sequence[Problem], job: str, share: int) -> str:
    if not isinstance(plan, Plan):
        text = f"There is no plan. [The job]({job}) shows why."
        rows = (Block(item(str(it))) for it in plan[:_MOST_PROBLEMS])
        shown = take(rows, share - _LINES_BYTES, "\n").texts
        more = len(plan) - len(shown)
        return joined([text, "\n".join([*shown, *[f"- {more} more"] * bool(more)])])
    text = plan_markdown(plan, most=share)
    if size(text) <= share:
        return text
    return f"**{summary(plan)}**\n\nThe plan does not fit here: [the job]({job}) has it."
