"""GitHub and GitLab, as a CI job of theirs reaches them: the run itself, comments and issues."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from majobctl.errors import MajobctlError
from majobctl.text import printable, quoted

if TYPE_CHECKING:
    from majobctl.forges.rest import Rest
    from majobctl.strict_json import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A comment or an issue; ``number`` is what its address ends with."""

    number: int
    author: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The comments of a pull request, or the open issues: paths of the REST interface, and the keys
    of its documents. ``creation`` is what a new post has besides its body, ``closing`` what closes
    an issue; a comment is deleted."""

    rest: Rest
    listed: str
    created: str
    item: str
    change: str
    number: str
    author: str
    body: str
    creation: Mapping[str, Any] = field(default_factory=dict)
    closing: Mapping[str, Any] | None = None

    def posts(self) -> Iterator[Post]:
        """All of them, the oldest first."""
        for node in self.rest.pages(self.listed):
            if node.get("pull_request") is None:  # GitHub lists them among the issues
                yield self._post(node)

    def create(self, body: str) -> Post:
        """Raises UnansweredError if nobody knows whether there is a new post now."""
        node = self.rest.ask("POST", self.created, {**self.creation, self.body: body})
        return self._post(node)

    def update(self, post: Post, body: str) -> None:
        self.rest.ask(self.change, self._place(post), {self.body: body})

    def remove(self, post: Post, body: str = "") -> None:
        """Deletes a comment, or closes an issue with ``body`` as its last text."""
        if self.closing is None:
            self.rest.ask("DELETE", self._place(post), but=(404, 410))
        else:
            text = {self.body: body} if body else {}
            self.rest.ask(self.change, self._place(post), {**text, **self.closing})

    def _place(self, post: Post) -> str:
        return f"{self.item}/{post.number}"

    def _post(self, node: Node) -> Post:
        (kind, key), body = self.author.split("."), node.get(self.body)
        user = node.get(kind)  # GitHub: null for a user who is gone
        author = user[key].value if user and user.value is not None else ""
        text = body.value if body and isinstance(body.value, str) else ""
        return Post(number=node[self.number].integer(), author=str(author), body=text)


class Forge(Protocol):
    """The run of a CI job. ``cannot_write`` says why it cannot write a comment, "" if it can.
    ``url`` is that of the job, ``most`` the bytes that a comment or an issue may have."""

    name: str
    most: int
    run: str
    url: str
    commit: str
    request: str
    cannot_write: str

    def branches(self) -> tuple[str, str]:
        """The branch that the run is of, and the default branch."""

    def own(self) -> str:
        """Whose token it is, as ``Post.author`` says it."""

    def comments(self) -> Board:
        """Those of the run's pull or merge request."""

    def issues(self, title: str) -> Board:
        """The open ones; a new one gets ``title``."""

    def is_approved(self, environment: str) -> bool:
        """Whether somebody agreed to the deployment that this job makes."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Those that the CI sets."""

    ci: str
    values: Mapping[str, str]

    def __call__(self, name: str, pattern: str = r"[!-~]+") -> str:
        """The value of ``name``. Raises MajobctlError unless it fits ``pattern``."""
        value = self.values.get(name, "")
        if re.fullmatch(pattern, value):
            return value
        found = "is not set" if not value else f"is {quoted(value)}"
        raise MajobctlError(f"{name} {found}; {self.ci} sets it in each job")


def token_in(values: Mapping[str, str], name: str, advice: str) -> str:
    """The token in the variable ``name``. Raises MajobctlError, without its text."""
    token = values.get(name, "").strip()
    if not re.fullmatch(r"[!-~]+", token):
        what = "is not a token: it has spaces or control characters" if token else "is not set"
        raise MajobctlError(f"{name} {what}\n{advice}")
    return token


def forge_of(values: Mapping[str, str], instead: str) -> Forge:
    """The forge whose CI runs this, by its variables. Raises MajobctlError outside of both, which
    advises to run ``instead``, and for a variable that is missing."""
    if values.get("GITHUB_ACTIONS") == "true":
        from majobctl.forges.github import GitHub

        return GitHub(values)
    if values.get("GITLAB_CI") == "true":
        from majobctl.forges.gitlab import GitLab

        return GitLab(values)
    raise MajobctlError(
        "this is not a job of GitHub Actions or GitLab CI: neither GITHUB_ACTIONS nor GITLAB_CI is"
        f" true\nanywhere else, run: {printable(instead)}"
    )
