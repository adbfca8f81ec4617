"""Where a state is: which keys of ``[state]`` a backend has, and what keeps two states apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from majobctl.errors import ConfigError
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.environments import TABLE
from majobctl.repository.settings.keys import WORKING_FOLDER
from majobctl.target import endpoint_of
from majobctl.text import printable, quoted, without_login

_LEASED = ("lease", "keep")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "local": ("path",),
    "postgres": ("name", "address", *_LEASED),
    "s3": ("name", "bucket", "endpoint", "region", "path_style", *_LEASED),
    "http": ("address",),
    "git": ("branch", "remote", *_LEASED),
}
OWN: Mapping[str, str] = {backend: keys[0] for backend, keys in _KEYS.items()}
"""The key whose value tells two states of one backend apart."""
_SHARED_PLACE = ("address", "bucket", "endpoint", "remote", "name", "branch")
_BESIDE = ("", ".backup", ".journal", ".lock", ".lock.holder")
"""The suffixes of the files beside a state."""

_PASSWORD = re.compile(r"(?i)(?:^|[?&\s])(?:ssl)?password\s*=|//[^?]*:[^?]*@")
"""In a URL, or in a connection string of ``key=value`` words."""
_OF_POSTGRES = re.compile(r"postgres(?:ql)?://|\w+\s*=|$")
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "name": (
        re.compile(r"(?!/)(?!.*//)(?!(?:.*/)?\.)[A-Za-z0-9._/-]{1,200}(?<!/)"),
        "1 to 200 letters, digits, `.`, `_`, `-` and `/`, and no part may begin with `.` or `/`",
    ),
    "branch": (
        re.compile(r"(?![-./])(?!.*(?:\.\.|//|/\.|\.lock(?:/|$)))[A-Za-z0-9._/-]{1,200}(?<![./])"),
        "a branch name of letters, digits, `.`, `_`, `-` and `/`",
    ),
    "remote": (re.compile(r"(?![-.])[A-Za-z0-9._/-]{1,100}"), "the name of a remote"),
    "bucket": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"), "the name of a bucket"),
}


def of_environment(
    state: dict[str, Any], environment: str, own: Mapping[str, Any]
) -> dict[str, Any]:
    """``[state]`` as ``environment`` has it, whose own table is ``own``: its own place unless it
    sets one."""
    backend, key = state["backend"], OWN[state["backend"]]
    is_own = isinstance(own.get(key), str) and own[key]
    if is_own or backend == "http" or not state[key]:
        return state
    place = {
        "local": (PurePosixPath(state["path"]).parent / f"{environment}.state.json").as_posix(),
        "git": f"{state['branch']}-{environment}",
    }.get(backend, f"{state[key]}/{environment}")
    return {**state, key: place}


def place_of(state: Mapping[str, Any]) -> str:
    """The file of a local state; the backend of another one, and the key that is its own."""
    backend, key = state["backend"], OWN[state["backend"]]
    return str(state[key]) if backend == "local" else f"{backend}, {key} {state[key]}"


def violations(
    state: Mapping[str, Any],
    own: Mapping[str, Any],
    root: Path,
    job_files: Sequence[str],
    other_environments: Sequence[str],
) -> Iterator[Violation]:
    """What is wrong with the checked values ``state``; ``own`` is the table that was written.
    ``other_environments`` may have the place that is missing here."""
    backend = state["backend"]
    for key, value in own.items():
        # A value that is wrong is reported already.
        if state.get(key) == value and key not in ("backend", *_KEYS[backend]):
            others = " or ".join(name for name, keys in _KEYS.items() if key in keys)
            message = f'{key} is for {others}, and backend is "{backend}"; remove it'
            yield Violation(("state", key), f"{message}, or change backend")
    for key in _KEYS[backend]:
        if key in (OWN[backend], "bucket") and not state[key]:
            message = f'{key} is missing; backend = "{backend}" needs it'
            if other_environments:
                message += f"; or choose an environment: -e {printable(other_environments[0])}"
            yield Violation(("state", key), message)
        elif (form := _FORMS.get(key)) and not form[0].fullmatch(state[key]):
            found = quoted(without_login(state[key]))
            yield Violation(("state", key), f"{key} must be {form[1]}, not {found}")
    if _PASSWORD.search(unquote(state["address"])):
        message = "address must not have a password; set it where the backend's clients look for it"
        yield Violation(("state", "address"), message)
    else:
        yield from _wrong_address(state)
    if backend == "local":
        yield from _misplaced(root, state["path"], job_files)


def _wrong_address(state: Mapping[str, Any]) -> Iterator[Violation]:
    key, message = "endpoint" if state["backend"] == "s3" else "address", ""
    try:
        if state["backend"] in ("s3", "http") and state[key]:
            endpoint_of(None, state[key])
    except ConfigError as error:
        message = error.problems[0].message
    if state["backend"] == "postgres" and not _OF_POSTGRES.match(state[key]):
        message = "must be postgresql://HOST/DATABASE, or host=HOST dbname=DATABASE"
    if message:
        yield Violation(("state", key), f"{key} {message}")


def _misplaced(root: Path, path: str, patterns: Sequence[str]) -> Iterator[Violation]:
    """A state, or the lock beside it, must not get in the way of whoever else has that place."""
    top = Path(os.path.realpath(root))
    for place in {Path(os.path.normpath(top / path)), Path(os.path.realpath(top / path))}:
        name = (place.relative_to(top) if place.is_relative_to(top) else place).as_posix()
        parts = name.casefold().split("/")
        is_taken = ".git" in parts or parts[0] == WORKING_FOLDER or parts[-1].endswith(".toml")
        is_job_file = any(
            os.path.isabs(it) == os.path.isabs(name)
            and ("**" in it or it.count("/") == name.count("/"))
            and fnmatch(name, it.replace("**/", "*"))
            for it in patterns
        )
        if is_taken or is_job_file or os.path.isdir(place):
            message = f"path must not be in .git or {WORKING_FOLDER}, a folder, a TOML file, or a"
            message = f"{message} file that [jobs] files matches: choose another for the state"
            yield Violation(("state", "path"), message)
            return


def shared_by_environments(
    states: Mapping[str, Mapping[str, Any]], root: Path
) -> Iterator[Violation]:
    """The places that two environments would share; ``""`` is the settings without any."""
    taken: dict[str, str] = {}
    for name, state in states.items():
        own = places(state, root)
        other = next((taken[place] for place in own if place in taken), None)
        if name and other is not None:
            key, who = OWN[state["backend"]], "the settings without an environment"
            who = f"the environment {quoted(other)}" if other else who
            message = f"{key} is also the state of {who}; give each its own state"
            yield Violation((TABLE, name, "state", key), message)
        taken = {**dict.fromkeys(own, name), **taken}


def places(state: Mapping[str, Any], root: Path) -> list[str]:
    """A state and the files beside it. Paths that are one file on some systems are equal."""
    if (backend := state["backend"]) == "local":
        path = os.path.normpath(root / state["path"]).casefold()
        history = path.removesuffix(".state.json") + ".history.jsonl"
        return [*(path + suffix for suffix in _BESIDE), history]
    place = [_normal(backend, str(state[key])) for key in _SHARED_PLACE if key in _KEYS[backend]]
    return ["\n".join([backend, *place])]


def _normal(backend: str, text: str) -> str:
    """``text``; of an address by http, as it is asked."""
    address, mark, query = text.partition("?")
    with suppress(ConfigError):
        if backend in ("http", "s3") and "://" in address:
            return endpoint_of(None, address) + mark + query
    return text
