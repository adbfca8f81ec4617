"""Text for people: what nobody sees is an escape, and a CI job's log has no command of ours."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.text import harmless_in_job_log, printable, printable_json, quoted

_NAMES_OF_UNSEEN = re.compile(
    r".*\b(FILLER|VARIATION SELECTOR.*|LETTER SELECTOR|VOWEL INHERENT A.|GRAPHEME JOINER"
    r"|CONSONANT JOINER|NUMBER JOINER|SUBJOINER|PATTERN BLANK|FULL BLANK|HALF BLANK|NULL NOTEHEAD)"
)
_SEEN = ("GAP FILLER", "LINE FILLER")
_CONTROL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")
UNSEEN = [
    char
    for char in map(chr, range(0x20000))
    if char != " "
    and (
        unicodedata.category(char) in _CONTROL
        or (
            _NAMES_OF_UNSEEN.fullmatch(name := unicodedata.name(char, ""))
            and not any(word in name for word in _SEEN)
        )
    )
] + [chr(code) for code in range(0xE0000, 0xE1000)]
SEEN = " ~é配\u0301😀☃\u2422\u0915\u094d\u1780\u17d2"


def test_every_character_that_nobody_sees_is_an_escape() -> None:
    shown = printable("".join(UNSEEN))
    assert shown.isascii()
    assert shown.isprintable()
    assert all(printable(f"a{char}b") == f"a{printable(char)}b" != f"a{char}b" for char in UNSEEN)
    assert printable(SEEN) == SEEN


@given(st.text(st.sampled_from([*UNSEEN[:300], "\u3164", "\ufe0f", "\U000e0100", *SEEN, *'"\\#'])))
def test_json_that_is_safe_to_print_means_the_same(text: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        return
    lines = printable_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert json.loads(lines) == {text: [text]}
    assert all(line == printable(line) for line in lines.split("\n"))
    assert "##" not in lines
    assert quoted(text) == printable(quoted(text))


def is_read_as_a_command(line: str) -> bool:
    """As actions/runner reads a line: ``ActionCommand.TryParseV2`` and ``TryParse``; and Azure
    Pipelines and TeamCity, whose commands begin with ``##``."""
    return line.lstrip().startswith("::") or any(
        sign in line for sign in ("##[", "##vso[", "##teamcity[")
    )


@pytest.mark.parametrize(
    "line",
    [
        "::stop-commands::token",
        "  \t::add-mask::x",
        "\u2003::set-output name=x::y",
        "\x1b[1m::error::x",
        "::::",
        ":::warning::",
        "##[add-mask]x",
        "a value: ##[add-mask]x",
        "###[group]",
        "##[##[",
        "##vso[task.setvariable variable=x]y",
        "##teamcity[buildStatus text='x']",
        "first\n::second::",
        "first\r::second::",
        "first\r\n  ::second::",
        "\n\n::x",
    ],
)
def test_no_line_is_a_command(line: str) -> None:
    assert not any(map(is_read_as_a_command, re.split("[\r\n]", harmless_in_job_log(line))))


@given(st.text(st.sampled_from("::##[ \t\r\nvso[teamcity[\x1b[1m")))
def test_no_text_has_a_command(text: str) -> None:
    shown = harmless_in_job_log(text)
    assert not any(map(is_read_as_a_command, re.split("[\r\n]", shown)))
    assert shown.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    ["jobs/a.toml:1: x", "a::b", "# heading", "#[x]", "## heading", "https://x", ": x", "-::"],
)
def test_other_text_stays(text: str) -> None:
    assert harmless_in_job_log(text) == text
