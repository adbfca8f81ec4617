"""A job of GitLab CI, and GitLab's REST interface with the token for notes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from majobctl.forges import Board, Variables, token_in
from majobctl.forges.rest import Rest

TOKEN = "MAJOBCTL_NOTE_TOKEN"
_SET_TOKEN = (
    f"make a project access token (role Reporter, scope api), and set the CI/CD variable {TOKEN}"
)
_ADVICE = {
    300: "the address redirects, which is not followed: check CI_API_V4_URL",
    401: f"the token has expired, or is wrong: {_SET_TOKEN}",
    403: f"the token may not do that: {_SET_TOKEN}",
    404: f"the token may not see it: {_SET_TOKEN}",
}


class GitLab:
    """As ``Forge``; raises MajobctlError for a variable that is not GitLab's."""

    name = "GitLab"
    most = 900_000
    """A note may have 1,000,000 characters."""

    def __init__(self, values: Mapping[str, str]) -> None:
        get = Variables(ci="GitLab CI", values=values)
        self._get, self._values = get, values
        project = get("CI_PROJECT_ID", "[0-9]+")
        self.run, self.url = get("CI_PIPELINE_ID", "[0-9]+"), get("CI_JOB_URL")
        # Only the pipeline of a merged result has the first.
        self.commit = values.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or get("CI_COMMIT_SHA")
        is_request = "CI_MERGE_REQUEST_IID" in values
        self.request = get("CI_MERGE_REQUEST_IID", "[0-9]+") if is_request else ""
        self._branches = values.get("CI_COMMIT_BRANCH", ""), get("CI_DEFAULT_BRANCH", ".+")
        self._path, self.cannot_write = f"/projects/{project}", ""
        if values.get("CI_MERGE_REQUEST_PROJECT_ID", project) != project:
            self.cannot_write = "the pipeline runs in a fork"
        elif not values.get(TOKEN):
            self.cannot_write = f"{TOKEN} is not set"

    @cached_property
    def _rest(self) -> Rest:
        headers = {"PRIVATE-TOKEN": token_in(self._values, TOKEN, _SET_TOKEN)}
        return Rest("CI_API_V4_URL", self._get("CI_API_V4_URL"), headers, _ADVICE)

    def branches(self) -> tuple[str, str]:
        return self._branches

    def own(self) -> str:
        return str(self._rest.ask("GET", "/user")["id"].integer())

    def comments(self) -> Board:
        path = f"{self._path}/merge_requests/{self.request}/notes"
        return self._board(path, "order_by=created_at&sort=asc", number="id", body="body")

    def issues(self, title: str) -> Board:
        return self._board(
            f"{self._path}/issues",
            "state=opened&order_by=created_at&sort=asc",
            number="iid",
            body="description",
            creation={"title": title, "labels": "majobctl-drift"},
            closing={"state_event": "close"},
        )

    def _board(self, path: str, order: str, **keys: Any) -> Board:
        listed, own = f"{path}?{order}", {"change": "PUT", "author": "author.id", **keys}
        return Board(rest=self._rest, listed=listed, created=path, item=path, **own)

    def is_approved(self, environment: str) -> bool:
        return self._values.get("CI_JOB_MANUAL") == "true"
