"""Stands in for ``gh`` on the PATH of a job: comments, issues and labels in the file KEPT.

It knows the calls of the examples and ends with 64 at any other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

BOT = "github-actions[bot]"
_FILTER = re.compile(
    r'\.\[\] \| select\(\.user\.login == "([^"]+)"\)'
    r' \| select\(\.body \| startswith\("([^"]+)"\)\) \| \.id'
)

_APPROVED = '.[] | select(.state == "approved") | .environments[].name'


def main(arguments: list[str]) -> int:
    kept_file = Path(os.environ["KEPT"])
    kept: dict[str, Any] = {"calls": [], "comments": [], "issues": [], "labels": []}
    if kept_file.exists():
        kept |= json.loads(kept_file.read_text(encoding="utf-8"))
    kept["calls"].append(arguments)
    if not os.environ.get("GH_TOKEN"):
        print("gh: to use GitHub CLI in a workflow, set GH_TOKEN", file=sys.stderr)
        return 4
    code = _api(arguments[1:], kept) if arguments[0] == "api" else _other(arguments, kept)
    kept_file.write_text(json.dumps(kept), encoding="utf-8")
    return code


def _api(arguments: list[str], kept: Any) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--field", default="")
    parser.add_argument("--jq", default="")
    parser.add_argument("--paginate", action="store_true")
    parser.add_argument("--silent", action="store_true")
    given = parser.parse_args(arguments)
    runs = f"repos/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    if (given.endpoint, " ".join(given.jq.split())) == (f"{runs}/approvals", _APPROVED):
        for approval in kept["approvals"]:
            if approval["state"] == "approved":
                print("\n".join(environment["name"] for environment in approval["environments"]))
        return 0
    place = re.fullmatch(
        rf"repos/{os.environ['GITHUB_REPOSITORY']}/issues/"
        r"(?:comments/(?P<comment>\d+)|(?P<issue>\d+)/comments(?:\?per_page=100)?)",
        given.endpoint,
    )
    if place is None:
        return 64
    comments = kept["comments"]
    if given.method == "GET" and given.paginate:
        pattern = _FILTER.fullmatch(" ".join(given.jq.split()))
        if pattern is None:
            return 64
        login, start = pattern.groups()
        for comment in comments:
            if comment["login"] == login and comment["body"].startswith(start):
                print(comment["id"])
        return 0
    key, _, file = given.field.partition("=@")
    body = Path(file).read_text(encoding="utf-8")
    assert key == "body"
    if given.method == "POST" and place["issue"]:
        comments.append({"id": 100 + len(comments), "login": BOT, "body": body})
        return 0
    if given.method == "PATCH" and place["comment"]:
        (comment,) = (item for item in comments if item["id"] == int(place["comment"]))
        comment["body"] = body
        return 0
    return 64


def _other(arguments: list[str], kept: Any) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("verb")
    parser.add_argument("name", nargs="?")
    for option in ("app", "label", "state", "limit", "json", "jq", "title", "color", "description"):
        parser.add_argument(f"--{option}", default="")
    parser.add_argument("--body-file", default="")
    parser.add_argument("--comment", default="")
    parser.add_argument("--force", action="store_true")
    given = parser.parse_args(arguments)
    body = Path(given.body_file).read_text(encoding="utf-8") if given.body_file else ""
    issues = kept["issues"]
    open_ = [issue for issue in issues if issue["open"]]
    match given.what, given.verb:
        case "label", "create" if given.force:
            kept["labels"].append(given.name)
        case "issue", "list" if (given.json, given.jq) == ("number", ".[].number"):
            own = [i for i in open_ if (i["label"], i["app"]) == (given.label, given.app)]
            for issue in own[: int(given.limit)]:
                print(issue["number"])
        case "issue", "create" if given.label in kept["labels"]:
            number = 7 + len(issues)
            issue = {"number": number, "label": given.label, "app": "github-actions"}
            issues.append({**issue, "open": True, "body": body})
        case "issue", "edit":
            _issue(open_, given.name)["body"] = body
        case "issue", "close":
            _issue(open_, given.name).update(open=False, comment=given.comment)
        case _:
            return 64
    return 0


def _issue(issues: list[Any], number: str) -> Any:
    (issue,) = (issue for issue in issues if issue["number"] == int(number))
    return issue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
