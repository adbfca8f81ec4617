"""Policies that are wrong: every problem in one run, each at its line.

Each file in ``bad_files`` is a ``policy.toml`` that ends with its expected problems, as in
``tests/repository/test_bad_files.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from majobctl.errors import ConfigError
from majobctl.operations import ConfigRepository, validate
from majobctl.policy.words import FACTS, WORDS
from tests.config_files import JOB, SETTINGS, write_files
from tests.repository.test_bad_files import expected

BAD_FILES = sorted((Path(__file__).parent / "bad_files").glob("*.toml"))
OWN = '[policy.settings]\nbecause = "x"\nfrozen = ["inputs"]\n'


def problems_of(root: Path, files: dict[str, str | bytes]) -> list[str]:
    """What ``validate`` finds; nothing if all is right."""
    write_files(root, files)
    try:
        validate(ConfigRepository(root))
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
@pytest.mark.bad_inputs("policies", "path")
def test_a_bad_policy_has_exactly_its_expected_problems(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    files: dict[str, str | bytes] = {"majobctl.toml": SETTINGS + OWN, "policy.toml": content}
    found = problems_of(tmp_path, files)
    assert found == expected("policy.toml", content)
    assert all(line.isprintable() for line in found)


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_a_bad_job_file_hides_none_of_them(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    files: dict[str, str | bytes] = {"majobctl.toml": SETTINGS + OWN, "policy.toml": content}
    found = problems_of(tmp_path, {**files, "jobs/a.toml": "[job_config.a]\nx = 1\n"})
    assert {*expected("policy.toml", content)} < {*found}
    assert any(line.startswith("jobs/a.toml:2:") for line in found)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("policy = 1\n" + SETTINGS, "majobctl.toml:1: policy must be tables, [policy.NAME], not"),
        (SETTINGS + "[policy.a]\n", "majobctl.toml:3: policy.a: because is missing"),
        (
            SETTINGS + '[environments.x.policy.a]\nbecause = "x"\n',
            "majobctl.toml:3: policies are the same for all environments; where",
        ),
        (SETTINGS + "[polcy.a]\n", 'majobctl.toml:3: unknown table "polcy"; did you mean "policy"'),
        (SETTINGS + "[policy]\n", ""),
    ],
)
def test_policies_in_the_settings_are_checked_as_well(
    settings: str, expected: str, tmp_path: Path
) -> None:
    found = problems_of(tmp_path, {"majobctl.toml": settings})
    assert found[:1] == [line for line in found[:1] if line.startswith(expected)]
    assert bool(found) is bool(expected)


RULE = '[policy.a]\nbecause = "x"\nrequire.inputs = { pattern = "^/ml/" }\n'
FAILS = 'fails = [{ inputs = "/b/x/" }]\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\x00",
        b'policy.a.because = "\\u0000"',
        b"[policy.'\\u001b']",
        b'[policy."\\u001b[31m"]\n"\\u001b" = "\\u0000"',
        b"[policy.a]\nrequire = " + b"[" * 3000,
        b"[policy.a]\nrequire = " + b"{a = " * 3000,
        b"[policy." + b"x" * 100_000 + b"]",
        b"\n" * 200_000,
        "﻿[policy.bom]".encode(),
        "[policy.a]\n".encode("utf-16"),
        b"<<<<<<< HEAD\n[policy.a]\n=======\n>>>>>>> x\n",
        RULE.encode() + b'fails = [{ inputs = "/' + b"x" * 1_000_000 + b'" }]\n',
        (RULE + FAILS).encode().replace(b"^/ml/", b"^/ml/(" + b"a|" * 200_000 + b"b)"),
        (RULE + FAILS + "exempt = [" + '"*a*a*a*a*a*a*a*a*a*b", ' * 1000 + "]").encode(),
        b"".join(b"[policy.a%d]\n" % number for number in range(3000)),
        (RULE + FAILS).encode().replace(b"pattern", b"enum").replace(b'"^/ml/"', b"[nan, [{}]]"),
    ],
    ids=range(18),
)
@pytest.mark.bad_inputs("policies", "content")
def test_hostile_policies_are_valid_or_reported(content: bytes, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"policy.toml": content, "jobs/a.toml": JOB}
    for found in problems_of(tmp_path, files):
        assert found.isprintable()
        assert len(found) < 5000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(.*)*b", "(a*)*(a*)*c", "a?" * 99])
def test_a_hostile_pattern_finishes_on_a_long_string(pattern: str, tmp_path: Path) -> None:
    text = "a" * 100_000 + "!"
    job = JOB + f'hyperparameters.x = "{text}"\n'
    rule = f"[policy.a]\nbecause = 'x'\nrequire.hyperparameters.x = {{ pattern = '{pattern}' }}\n"
    rule += f'fails = [{{ hyperparameters = {{ x = "{text}" }} }}, {{}}]\n'
    assert problems_of(tmp_path, {"policy.toml": rule, "jobs/a.toml": job})


@pytest.mark.parametrize("kind", ["folder", "link", "unreadable"])
def test_a_policy_file_that_cannot_be_read_is_an_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.symlink_to(path)
    assert [it.split(": ")[:2] for it in problems_of(tmp_path, {})] == [
        ["policy.toml", "cannot be read"]
    ]


def test_no_name_is_both_a_word_and_a_fact() -> None:
    assert WORDS.keys().isdisjoint(FACTS)
