"""Stands in for ``curl`` on the PATH of a job: the notes of one merge request in the file KEPT.

It knows the calls of the examples, and fails as ``curl --fail`` does if GitLab would refuse.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

REFUSED = 22
TOKEN = "note-token"
OWN = {"id": 70, "username": "project_42_bot"}
"""Whose token it is."""
_PATH = re.compile(r"/api/v4/projects/42/merge_requests/3/notes(?:/(\d+))?")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--request", default="GET")
    parser.add_argument("--header", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--data-urlencode", default="")
    for option in ("fail", "silent", "show-error"):
        parser.add_argument(f"--{option}", action="store_true", required=True)
    given = parser.parse_args(arguments)
    kept_file = Path(os.environ["KEPT"])
    kept: dict[str, Any] = {"calls": [], "notes": []}
    if kept_file.exists():
        kept |= json.loads(kept_file.read_text(encoding="utf-8"))
    notes = kept["notes"]
    answer: Any = None
    kept["calls"].append(arguments)
    url = urlsplit(given.url)
    place = _PATH.fullmatch(url.path)
    is_self = url.path == "/api/v4/user"
    is_signed = given.header == "@-" and sys.stdin.read() == f"PRIVATE-TOKEN: {TOKEN}\n"
    if not is_signed or (place is None and not is_self):
        return REFUSED
    key, _, file = given.data_urlencode.partition("@")
    if is_self:
        answer = OWN
    elif given.request == "GET":
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        first = (int(query["page"]) - 1) * int(query["per_page"])
        answer = notes[first : first + int(query["per_page"])]
    elif key != "body":
        return REFUSED
    elif given.request == "POST" and place and place[1] is None:
        body = Path(file).read_text(encoding="utf-8")
        answer = {"id": 500 + len(notes), "author": OWN, "body": body}
        notes.append(answer)
    elif given.request == "PUT" and place and place[1]:
        (answer,) = (note for note in notes if note["id"] == int(place[1]))
        answer["body"] = Path(file).read_text(encoding="utf-8")
    Path(given.output).write_text(json.dumps(answer), encoding="utf-8")
    kept_file.write_text(json.dumps(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
