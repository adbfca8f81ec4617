"""A run of GitHub Actions, and GitHub's REST interface with the run's own token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from majobctl.errors import MajobctlError
from majobctl.files import read_file
from majobctl.forges import Board, Variables, token_in
from majobctl.forges.rest import Rest, documented
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.text import printable, reason_of

_BOT = "github-actions[bot]"
_SET_TOKEN = "set it for this step: GITHUB_TOKEN: ${{ github.token }}"
_ADVICE = {
    300: "the address redirects, which is not followed: check GITHUB_API_URL",
    401: "the token is wrong, or has expired: " + _SET_TOKEN,
    403: "the job needs permissions: pull-requests: write for a comment, issues: write for an"
    " issue, actions: read for an approval",
    404: "the job's token may not see it: check the job's permissions",
    410: "issues are turned off in this repository: turn them on, or remove this job",
}


class GitHub:
    """As ``Forge``; raises MajobctlError for a variable or an event that is not GitHub's."""

    name = "GitHub"
    most = 65_000
    """In bytes, which are at least as many as characters: GitHub takes 65,536 of those."""

    def __init__(self, values: Mapping[str, str]) -> None:
        get = Variables(ci="GitHub Actions", values=values)
        self._get, self._values = get, values
        self._repository = get("GITHUB_REPOSITORY", r"[\w.-]+/[\w.-]+")
        self.run = get("GITHUB_RUN_ID", "[0-9]+")
        self.url = f"{get('GITHUB_SERVER_URL')}/{self._repository}/actions/runs/{self.run}"
        self._ref, self._event = get("GITHUB_REF", ".+"), _event_in(get("GITHUB_EVENT_PATH", ".+"))
        self.request, self.commit, self.cannot_write = "", get("GITHUB_SHA"), ""
        try:
            if event := self._open_to_all(get("GITHUB_EVENT_NAME")):
                raise MajobctlError(
                    f"`majobctl ci` does not run on {event}, which hands secrets to anybody"
                    " who opens a pull request\nin the workflow, write: on: pull_request"
                )
            if request := self._event.get("pull_request"):
                self._read_request(request)
        except JsonError as error:
            raise MajobctlError(f"GITHUB_EVENT_PATH: {printable(str(error))}") from error

    def _open_to_all(self, name: str) -> str:
        """The event, if it runs with secrets for whoever opens a pull request, or comments on it;
        its ref is that of the default branch, and its checkout may be of the fork."""
        run = self._event.get("workflow_run") if name == "workflow_run" else None
        if run and run["event"].text().startswith("pull_request"):
            return "a workflow_run after a pull request"
        return name if name in ("pull_request_target", "issue_comment") else ""

    def _read_request(self, request: Node) -> None:
        head = request["head"]
        self.request, self.commit = str(request["number"].integer()), head["sha"].text()
        repository = head["repo"]  # null if the fork is gone
        if not repository.value or repository["full_name"].text() != self._repository:
            self.cannot_write = (
                "the pull request comes from a fork, whose token may not write comments"
            )

    @cached_property
    def _rest(self) -> Rest:
        token = token_in(self._values, "GITHUB_TOKEN", _SET_TOKEN)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return Rest("GITHUB_API_URL", self._get("GITHUB_API_URL"), headers, _ADVICE)

    @property
    def _path(self) -> str:
        return f"/repos/{self._repository}"

    def branches(self) -> tuple[str, str]:
        match = re.fullmatch("refs/heads/(.+)", self._ref)
        with documented(self.name):
            repository = self._event.get("repository")
            default = repository and repository.get("default_branch")
            if default is None:  # a scheduled run's event may not have it
                default = self._rest.ask("GET", self._path)["default_branch"]
            return match[1] if match else "", default.text()

    def own(self) -> str:
        # The user of a job's own token may not be asked for.
        user = self._rest.ask("GET", "/user", but=(403,))
        return user["login"].text() if user.value is not None else _BOT

    def comments(self) -> Board:
        path = f"{self._path}/issues"
        listed = f"{path}/{self.request}/comments"
        return self._board(listed=listed, created=listed, item=f"{path}/comments", number="id")

    def issues(self, title: str) -> Board:
        path = f"{self._path}/issues"
        return self._board(
            listed=f"{path}?state=open&sort=created&direction=asc",
            created=path,
            item=path,
            number="number",
            creation={"title": title, "labels": ["majobctl-drift"]},
            closing={"state": "closed"},
        )

    def _board(self, **paths: Any) -> Board:
        return Board(rest=self._rest, change="PATCH", author="user.login", body="body", **paths)

    def is_approved(self, environment: str) -> bool:
        wanted = (environment or "production").lower()
        with documented(self.name):
            return any(
                review["state"].value == "approved"
                and wanted in [it["name"].text().lower() for it in review["environments"].items()]
                for review in self._rest.pages(f"{self._path}/actions/runs/{self.run}/approvals")
            )


def _event_in(file: str) -> Node:
    try:
        return Node(parse_object(read_file(file), is_ours=False))
    except (OSError, JsonError) as error:
        reason = reason_of(error)
        raise MajobctlError(f"GITHUB_EVENT_PATH: the event cannot be read: {reason}") from error
