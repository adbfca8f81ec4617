"""The documented form: what moves, what stays, and that nothing is lost."""

from __future__ import annotations

import codecs
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS
from majobctl.repository.authoring.format import Formatted, formatted
from majobctl.repository.settings.keys import SETTINGS
from tests.strategies import lined_documents, toml_of, valid_tables

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["use", "matrix", "name", *FIELDS, *DIRECTIVES]


def form(text: str) -> str:
    """The documented form of a text for which there is no obstacle."""
    result = formatted(text.encode(), "jobs/a.toml")
    assert result.obstacle is None
    return result.content.decode()


def data_of(text: str) -> Any:
    """The data, each float as it is written."""
    return tomli.loads(text, parse_float=lambda written: ("float", written))


def comments_of(text: str) -> Iterator[str]:
    """Every comment, found character by character, without the blanks at its end."""
    position = 0
    while position < len(text):
        char = text[position]
        if char == "#":
            end = (text + "\n").index("\n", position)
            yield text[position:end].rstrip(" \t\r")
            position = end
        elif char in "\"'":
            quote = char * 3 if text.startswith(char * 3, position) else char
            position += len(quote)
            while not text.startswith(quote, position):
                position += 2 if char == '"' and text[position] == "\\" else 1
            position += len(quote)
            while len(quote) == 3 and text[position : position + 1] == char:
                position += 1
        else:
            position += 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a=1", "a = 1\n"),
        ("  a\t=   1  \n", "a = 1\n"),
        ("a=1#c", "a = 1 #c\n"),
        ("a = 1    # c  \n", "a = 1    # c\n"),
        ("a=1\n\n\n\nb=2\n\n", "a = 1\n\nb = 2\n"),
        ("#c", "#c\n"),
        ("\n\n  # c \n\n\n# d\na=1", "# c\n\n# d\na = 1\n"),
        ("a . b  =1", "a.b = 1\n"),
        ("'a b' . \"c\"=1", "'a b'.\"c\" = 1\n"),
        ("[a]\n\n\nb=1\n[c]\n[d] # x  ", "[a]\nb = 1\n\n[c]\n\n[d] # x\n"),
        ("  [ a . b ]\n\tc=1", "[ a . b ]\nc = 1\n"),
        ("[[a]]\nb=1\n[[a]]\nb=2", "[[a]]\nb = 1\n\n[[a]]\nb = 2\n"),
        ("[a]\nb=1\n# of c\n[c]", "[a]\nb = 1\n\n# of c\n[c]\n"),
        ("[a]\nb=1\n# of a\n\n# of c\n[c]", "[a]\nb = 1\n# of a\n\n# of c\n[c]\n"),
        ("[a]\n# alone\n\n[b]\n#x", "[a]\n# alone\n\n[b]\n#x\n"),
        ("#:schema x\n\n\n\n# about\n[a]", "#:schema x\n\n# about\n[a]\n"),
        ('a="""\n  b  \n\n\n#no\n"""\n\n\n[b]', 'a = """\n  b  \n\n\n#no\n"""\n\n[b]\n'),
        ("a=[ # x\n\n\n 1,  #y\n ]", "a = [ # x\n\n\n 1,  #y\n ]\n"),
        ("a=[\n[1],\n[2],\n]\n[b]", "a = [\n[1],\n[2],\n]\n\n[b]\n"),
        ("a={b=1,  c . d = 2 }", "a = {b=1,  c . d = 2 }\n"),
        ('a="""x\\""""\n[b]', 'a = """x\\""""\n\n[b]\n'),
        ("a='''x'''''\n[b]", "a = '''x'''''\n\n[b]\n"),
    ],
)
def test_the_layout(before: str, after: str) -> None:
    assert form(before) == after
    assert form(after) == after


def test_the_keys_of_a_job_config_come_in_the_documented_order() -> None:
    lines = [f"{key} = 1" for key in ORDER]
    mixed = random.Random(1).sample(lines, len(lines))
    for table in ("job_config.a", "templates.a", "defaults", "environments.prod.defaults"):
        text = "\n".join([f"[{table}]", *mixed, "other = 2", "more = 3", ""])
        assert form(text) == "\n".join([f"[{table}]", *lines, "other = 2", "more = 3", ""])


@pytest.mark.parametrize("table", SETTINGS)
def test_the_keys_of_the_settings_come_in_the_documented_order(table: str) -> None:
    lines = [f"{key} = 1" for key in SETTINGS[table]]
    for header in (f"[{table}]", f"[environments.prod.{table}]"):
        expected = "\n".join([header, *lines, ""])
        assert form("\n".join([header, *reversed(lines)])) == expected


@pytest.mark.parametrize(
    "header",
    ["job_config", "job_config.a.hyperparameters", "variables", "environments.prod", "other", ""],
)
def test_the_order_is_free_elsewhere(header: str) -> None:
    first = f"[{header}]\n" if header else ""
    text = f"{first}output_path = 1\ncode_dir = 2\ntrain_instance_type = 3\n"
    assert form(text) == text


def test_tables_stay_where_they_are() -> None:
    text = "[job_config.b]\n\n[job_config.a.hyperparameters]\n\n[defaults]\n\n[job_config.a]\n"
    assert form(text) == text


def test_what_stands_above_a_key_goes_with_it() -> None:
    text = """\
[job_config.a]   # a table

# about the table

# the data
# of last year
inputs = "/b/x/"  # on OBS

# where to
output_path = "/b/y/"
hyperparameters.lr = 1e-5  # small
"train_instance_type" = 'x'
hyperparameters.seed = 1
# inputs = "/b/z/"
"""
    assert (
        form(text)
        == """\
[job_config.a]   # a table
# about the table

"train_instance_type" = 'x'

# where to
output_path = "/b/y/"
hyperparameters.lr = 1e-5  # small
hyperparameters.seed = 1
# the data
# of last year
inputs = "/b/x/"  # on OBS
# inputs = "/b/z/"
"""
    )


@given(st.permutations(ORDER), st.data())
def test_each_comment_stays_with_its_key(keys: Sequence[str], data: st.DataObject) -> None:
    lines = ["[job_config.a]"]
    above = data.draw(st.sets(st.sampled_from(ORDER)))
    beside = data.draw(st.sets(st.sampled_from(ORDER)))
    blanks = data.draw(st.sets(st.sampled_from(ORDER)))
    for key in keys:
        lines += [""] * (key in blanks) + [f"# above {key}"] * (key in above)
        lines.append(f"{key}=[\n'{key}', # in {key}\n]" + f" # beside {key}" * (key in beside))
    after = form("\n".join(lines)).split("\n")
    starts = [line.partition(" = ")[0] for line in after if " = " in line]
    assert starts == ORDER
    for key in ORDER:
        start = after.index(f"{key} = [")
        assert after[start + 1] == f"'{key}', # in {key}"
        assert after[start + 2] == "]" + f" # beside {key}" * (key in beside)
        assert (after[start - 1] == f"# above {key}") == (key in above)


@given(lined_documents())
def test_any_document_keeps_its_data_and_its_comments(document: Any) -> None:
    check_promises(document.text)


@given(valid_tables, st.randoms(use_true_random=False))
def test_any_job_file_keeps_its_data(tables: Mapping[str, Any], chance: random.Random) -> None:
    mixed = {
        name: dict(chance.sample(sorted(params.items()), len(params)))
        for name, params in tables.items()
    }
    check_promises(toml_of(mixed))
    keys = [line.split(" = ")[0].strip('"') for line in form(toml_of(mixed)).split("\n")]
    ranks = [ORDER.index(key) for key in keys if key in ORDER]
    assert len(tables) > 1 or ranks == sorted(ranks)


def check_promises(text: str) -> None:
    result = formatted(text.encode(), "jobs/a.toml")
    if result.obstacle:
        assert result.content == text.encode()
        return
    after = result.content.decode()
    assert data_of(after) == data_of(text)
    assert sorted(comments_of(after)) == sorted(comments_of(text))
    assert not after or after.endswith("\n")
    assert form(after) == after


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "repository" / "bad_files").rglob("*.toml")), ids=str
)
def test_wrong_job_files_keep_their_data_too(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    try:
        tomli.loads(text)
    except (ValueError, RecursionError):
        with pytest.raises(ConfigError):
            formatted(text.encode(), "jobs/a.toml")
    else:
        check_promises(text)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "majobctl" / "cli" / "templates").glob("*.toml")),
    ids=lambda path: path.name,
)
def test_what_init_writes_is_in_the_documented_form(path: Path) -> None:
    content = path.read_bytes()
    assert formatted(content, path.name) == Formatted(content)


def test_line_ends_stay_as_the_first_is() -> None:
    assert formatted(b"a=1\r\nb='''\r\nx'''\n", "a").content == b"a = 1\r\nb = '''\r\nx'''\r\n"
    assert formatted(b"a=1\nb=2\r\n", "a").content == b"a = 1\nb = 2\n"
    assert formatted(b"a=1", "a").content == b"a = 1\n"


def test_a_byte_order_mark_stays() -> None:
    assert formatted(codecs.BOM_UTF8 + b"a=1", "a").content == codecs.BOM_UTF8 + b"a = 1\n"


def test_text_beyond_ascii_stays() -> None:
    text = "'é\u2028' = \"☃\"  # \u00a0grün\u00a0\n"
    assert form(text) == text


@pytest.mark.parametrize(
    ("content", "place"), [(b"a = \n", ":1:"), (b"a = 1\na = 2", ":2:"), (b"\xff", ":1:1")]
)
def test_what_is_no_toml_is_told_with_its_place(content: bytes, place: str) -> None:
    with pytest.raises(ConfigError) as raised:
        formatted(content, "jobs/a.toml")
    assert str(raised.value).startswith(f"jobs/a.toml{place}")


def test_what_tomlkit_cannot_read_stays_as_it_is() -> None:
    content = f"a={'[' * 390}{']' * 390}".encode()
    result = formatted(content, "a")
    assert result.content == content
    assert (result.obstacle or "").startswith("tomlkit cannot read it: ")


class _Lossy:
    """What tomlkit makes of a text, without some of it; ``as_string`` does not show that."""

    def __init__(self, text: str, keep: slice) -> None:
        self._text = text
        self.body = tomlkit.parse(text).body[keep]

    def as_string(self) -> str:
        return self._text


@pytest.mark.parametrize("lost", ["key", "comment"])
def test_nothing_is_lost_unseen(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a=1\n# c\n" if lost == "comment" else b"# c\na=1\n"
    stand_in = SimpleNamespace(parse=lambda text: _Lossy(text, slice(-1)))
    monkeypatch.setitem(sys.modules, "tomlkit", stand_in)
    assert formatted(content, "a") == Formatted(
        content, "tomlkit does not return everything that it reads"
    )


def test_text_that_comes_back_otherwise_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(parse=lambda text: _Lossy(text + "#", slice(None)))
    monkeypatch.setitem(sys.modules, "tomlkit", stand_in)
    assert (formatted(b"a=1", "a").obstacle or "").startswith("tomlkit cannot read it: ")


def test_a_result_that_is_no_toml_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(text: str) -> _Lossy:
        document = _Lossy(text, slice(None))
        document.body = document.body * 2
        return document

    monkeypatch.setitem(sys.modules, "tomlkit", SimpleNamespace(parse=twice))
    assert formatted(b"a=1", "a").content == b"a=1"


def test_a_large_file_takes_its_time_but_no_more() -> None:
    table = "[job_config.a{0}]\noutput_path='/b/x/' # {0}\ntrain_instance_type='x'\n"
    text = "".join(table.format(number) for number in range(2000))
    text += f'[last]\nx="""{"[a] # " * 20_000}"""\ny=[{"[1]," * 2_000}]\n'
    after = form(text)
    assert after.count("train_instance_type = 'x'\noutput_path = '/b/x/' # ") == 2000
