"""TOML files: what is refused with which place, and the line of each key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import WrittenFloat
from majobctl.repository.authoring.format import formatted
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import positions_of
from tests.repository.read_toml import results
from tests.strategies import LinedText, lined_documents


def parsed(text: str) -> TomlFile:
    return TomlFile.parse(text.encode(), "a.toml")


def refusal(content: bytes) -> Problem:
    with pytest.raises(ConfigError) as raised:
        TomlFile.parse(content, "a.toml")
    (problem,) = raised.value.problems
    assert problem.file == "a.toml"
    return problem


def unreadable(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        TomlFile.read(path, "jobs/a.toml")
    return str(raised.value)


@pytest.mark.parametrize("before", ["", "\ufeff", "# é ☃\r\n\r\n", "\ufeffa = 1\n"])
def test_a_byte_that_is_not_utf_8_is_told_with_line_and_column(before: str) -> None:
    problem = refusal(before.encode() + b"b = 'h\xc3\xa9\xff'\n")
    assert (problem.line, problem.column) == (before.count("\n") + 1, 8)
    assert "not UTF-8" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = ", 1, 5),
        ("a = 1\nb = [1,\n", 2, 5),
        ("a = 1\r\nb == 1\r\n", 2, 4),
        ("ä = 1", 1, 1),
        ("a = 1 b = 2", 1, 7),
        ("a = 2026-13-01", 1, 5),
        ("a = 1\rb = 2", 1, 6),
        ("a = {b = 1, b = 2}", 1, 13),
        ("[a\n", 1, 3),
    ],
)
def test_broken_toml_is_told_with_line_and_column(text: str, line: int, column: int) -> None:
    problem = refusal(text.encode())
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith("not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> b\n", 1),
        ("a = [\n<<<<<<< HEAD\n1,\n=======\n2,\n>>>>>>> b\n]\n", 2),
        ('a = """\n<<<<<<< HEAD\nb"""\n=======\nc"""\n>>>>>>> b\n', 2),
        ('a = """\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> b\n', 2),
        ("a = 1\n=======\n", 2),
    ],
)
def test_a_conflict_is_named_at_its_first_marker(text: str, line: int) -> None:
    problem = refusal(text.encode())
    assert (problem.line, problem.column) == (line, 1)
    assert "git's conflict marker" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = '''\n=======\n<<<<<<< HEAD\n'''\nb = \n", 5, "the value is missing"),
        ('a = """\n>>>>>>> b\n"""\nc = True\n', 4, "small letters"),
        ('a = """\nTitle\n=======\n', 1, "never closed"),
    ],
)
def test_a_line_of_a_string_is_no_conflict_marker(text: str, line: int, message: str) -> None:
    problem = refusal(text.encode())
    assert problem.line == line and message in problem.message
    assert "conflict" not in problem.message


@pytest.mark.parametrize(
    ("text", "place", "key", "first"),
    [
        ("a = 1\n\na = 2\n", (3, 1), "a", 1),
        ("[t]\na = 1\n  a = [\n 2 ]  # x\n", (3, 3), "t.a", 2),
        ("\n[t]\n[u]\n[ t ] # x\n", (4, 1), "t", 2),
        ("t.a = 1\nt.a = ']'\n", (2, 1), "t.a", 1),
        ("[[t]]\na = 1\n[[t]]\na = 1\n'a' = 1\n", (5, 1), "t.a", 4),
        ("[[t]]\n[t]\n", (2, 1), "t", 1),
    ],
)
def test_a_key_that_is_there_twice_is_told_with_both_places(
    text: str, place: tuple[int, int], key: str, first: int
) -> None:
    problem = refusal(text.encode())
    assert (problem.line, problem.column) == place
    assert problem.message == f"not valid TOML: {key} is defined twice, first on line {first}"


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\na.b = 2\n",
        "a.b = 1\n[a]\n",
        "a = []\n[[a]]\n",
        "a.x = 1\n[a]\n",
        "a = {x = 1}\na.y = 2\n",
    ],
)
def test_a_key_that_is_there_in_another_form_is_told_with_both_places(text: str) -> None:
    problem = refusal(text.encode())
    assert (problem.line, problem.column) == (2, 1)
    assert problem.message == "not valid TOML: a is already defined in another form, on line 1"


ASCII_QUOTE = 'this is a typographic quote; write " instead'
COMMENT = "a comment starts with #"
IN_QUOTES = "write the text in double quotes"
NO_EMPTY = "TOML has no empty value; leave the key out"
NO_NUMBER = f"this is neither a number nor a date; {IN_QUOTES}"
DIGITS = "a float has digits before and after its dot, such as 1.0"
BACKSLASH = r"write \\ for a backslash, or put the text in single quotes"
OTHER_QUOTES = 'a quote ends the text here; put the other quotes around it, or write \\"'
UNCLOSED = "this string is not closed on its line"
CONFLICT = "this is git's conflict marker; keep the lines that are meant, and remove the markers"

MISTAKES = [
    *((f"a = ↓{it}", "write true and false in small letters") for it in ("True", "FALSE")),
    ("a = ↓yes", "write true or false; a text is in double quotes"),
    *((f"a = {{b = ↓{it}}}", NO_EMPTY) for it in ("None", "null", "nil", "~")),
    *((f"a = ↓{it}x{it}", ASCII_QUOTE) for it in "“”„«′＂"),
    ("a = [↓“x”]", ASCII_QUOTE),
    ("↓“a” = 1", ASCII_QUOTE),
    ('a = "x↓”', ASCII_QUOTE),
    ("a = 'x↓’", "this is a typographic quote; write ' instead"),
    ("a = ↓`x`", 'write " instead of `'),
    *(
        (
            text.replace("_", "↓\u00a0"),
            "this is U+00A0 (no-break space); write a plain space instead",
        )
        for text in ("_a = 1", "a_= 1", "a =_1", "a = 1_", "[a_]", "a = [1,_2]", "_", "a =_“x”")
    ),
    ("a =↓\u3000'x'", "this is U+3000 (ideographic space); write a plain space instead"),
    ("↓\u200ba = 1", "this is U+200B (zero width space), which nobody sees; remove it"),
    ("a = 1\n↓\ufeffb = 1", "this is a byte-order mark; remove it"),
    ("a ↓＝ 1", "this is U+FF1D (fullwidth equals sign); write = instead"),
    ("a = ['b'↓，'c']", "this is U+FF0C (fullwidth comma); write , instead"),
    ("a = ↓−1", "this is U+2212 (minus sign); write - instead"),
    (
        "l↓оg = 1",
        "this is U+043E (cyrillic small letter o); a name without quotes has only A-Z a-z 0-9 _ -",
    ),
    ("a = ↓größe", IN_QUOTES),
    ("↓\x0ca = 1", "this is U+000C (control character), which nobody sees; remove it"),
    *((f"a = 1\n  ↓{it}", CONFLICT) for it in ("<<<<<<< HEAD", "||||||| x", "=======", ">>>>>>>")),
    *((f"a↓{it}", "write = instead of :") for it in (": 1", ":= 1", ':"x",')),
    ('a = {"b"↓: 1}', "write = instead of :"),
    ("a↓:\n  b: 1", "TOML has no blocks; write a header in [ ] above these keys"),
    ('a ↓"b" {', "TOML has no blocks; write a header in [ ] above these keys"),
    ("a =↓\n  - b", 'an array is in [ ], such as ["a", "b"]'),
    ("a = ↓('b')", "an array is in [ ]"),
    ("a = {'b'↓, 'c'}", "this key has no value; an array is in [ ]"),
    ("a =↓= 1", "write a single = between the key and its value"),
    ("a =↓> 1", "write a single = between the key and its value"),
    ("a = 1↓;", "a line ends after its value; remove what follows"),
    ("a = 1↓,", "a line ends after its value; remove what follows"),
    ("↓{", "a table has a header in [ ], and a line for each key"),
    ("↓}", "this bracket closes nothing; remove it"),
    ("---↓", f"this line is neither a key nor a header; {COMMENT}"),
    ("a↓", "the = after the key is missing"),
    ("a ↓'b'", "the = after the key is missing"),
    ("a ↓b = 1", "a key has no spaces, and no word before it"),
    ("↓= 1", "the key before = is missing"),
    ("a =↓", "the value is missing"),
    ("a = ↓#b", "the value is missing: # begins a comment"),
    ("a = ['b',↓,'c']", "the value is missing"),
    *(
        (f"a = ↓{it}", IN_QUOTES)
        for it in ("/b/", "obs://b/", "b c", "${x}", "true-ish", "info", "-b")
    ),
    *(
        (f"a = ↓{it}", NO_NUMBER)
        for it in ("1.2.3", "3d", "1.0-py3", "2026-13-01", "50%", "1/2", "1__0")
    ),
    *((f"a = {{b = ↓{it}}}", DIGITS) for it in ("1.", ".5", "1.e5", "-.5")),
    ("a = ↓01", "a number does not start with 0; write it in quotes if it is text"),
    ("a = 1↓,000", "a number has no commas, and an array is in [ ]"),
    *((f"a = ↓{it}", "TOML has inf and nan, in small letters") for it in ("NaN", "-Infinity")),
    *((f"a = ↓{it}'b'", "a string has no letter before its quotes; remove it") for it in "rfb"),
    ("a = 'b' ↓+ 'c'", "TOML does not join strings; write them as one"),
    ("a = 'b' ↓'c'", "TOML does not join strings; write them as one"),
    ('a = "b ↓"c" d"', OTHER_QUOTES),
    ("a = 'b↓'c'", OTHER_QUOTES),
    ('a = "b↓""', OTHER_QUOTES),
    ("a = 1 ↓b = 2", "each key needs a line of its own"),
    ("a = 1 ↓b", "only a comment can follow a value on its line"),
    *((f"a = 1 ↓{it}", COMMENT) for it in ("// b", "/* b */")),
    *((f"↓{it} b", COMMENT) for it in ("//", "/*", ";")),
    ('a = "b↓\nc = "d"', UNCLOSED),
    ("a = 'b↓\nc = 1", UNCLOSED),
    ("a = \"b↓'", 'this string begins with ", so it ends with "'),
    ('a = ↓"""b\nc = 1\n', 'this """ is never closed'),
    ("a = ↓'''b\nc = 1\n", "this ''' is never closed"),
    (
        r'a = "C:\temp↓\"',
        r"this \ makes the quote a part of the text; write \\, or use single quotes",
    ),
    *((f'a = "b↓{it}"', BACKSLASH) for it in (r"\data", r"\users", r"\d+", r"\ ")),
    (r'a = "↓\${x}"', "write $${ for a literal ${"),
    (r"""a = "it↓\'s" """, "' needs no backslash; remove it"),
    ('a = "b↓\\\n c"', 'only a text in """ can go on in the next line'),
    (r'a = "↓\ud83d"', "this escape is not a character; write the character itself"),
    *(
        (f"a = ↓[1, 2\n{it}", "this [ is never closed")
        for it in ("", "b = 1", "\n[b]", "[[b]] # c")
    ),
    *((f"a = ↓{{b = 1\n{it}", "this { is never closed") for it in ("", "[b]")),
    ("a = ['b' ↓'c']", "a comma or ] is missing before this"),
    ("a = [\n1\n↓2]", "a comma or ] is missing before this"),
    ("a = {b = 1 ↓c = 2}", "a comma or } is missing before this"),
    ("[a↓", "the ] of this header is missing"),
    *((f"{it}↓]", "this ] is one too many") for it in ("[a]", "[[a]]")),
    ("[[a↓]", "this header begins with [[, so it ends with ]]"),
    ("[a] ↓b = 1", "a key goes on a line of its own, below the header"),
    ("[a.↓]", "a name is missing here"),
    ("[a]\n[a↓:b]", "a table's name has only letters, digits, _ and -, and no space"),
    ("↓@@ -1 +1 @@", "this is a line of a diff; keep the file's own text"),
    ("↓+a = 1", "this is a line of a diff; keep the file's own text"),
    ("↓```toml", "this is Markdown; remove this line"),
    (
        "version ↓https://git-lfs.github.com/spec/v1",
        "this is a Git LFS pointer; run `git lfs pull`",
    ),
    ("↓…", "this is U+2026 (horizontal ellipsis), which is only allowed in a string or a comment"),
    ("a = [1,\n↓True]", "write true and false in small letters"),
    ("↓<html>", "a line is KEY = VALUE, a header in [ ], or a comment that starts with #"),
]


TOML_1_1 = [
    "a = { # x\n  b = 1, # y\n  c = 2,\n}\n",
    "a = [{b = 1,}, {\n}]\n",
    'a = "\\e\\x41"\n',
    "a = 2026-11-26 10:00\nb = 10:00\n",
]
TEXTS = [
    *TOML_1_1,
    *(it.replace("↓", "") for it, _ in MISTAKES),
    *(path.read_text() for path in sorted((Path(__file__).parent / "bad_files").rglob("t*.toml"))),
]
OLDEST = os.environ.get("MAJOBCTL_OLDEST_TOML", "")


@pytest.mark.parametrize("text", TOML_1_1)
def test_toml_1_1_is_read_and_formatted(text: str) -> None:
    assert parsed(f"{text}z = 1\n").line_of(("z",)) == text.count("\n") + 1
    assert formatted(text.encode(), "a.toml").obstacle is None


@pytest.mark.slow
@pytest.mark.skipif(not OLDEST, reason="MAJOBCTL_OLDEST_TOML does not name a python with them")
def test_the_oldest_libraries_that_are_allowed_read_the_same() -> None:
    ran = subprocess.run(
        [OLDEST, Path(__file__).with_name("read_toml.py")],
        input=json.dumps(TEXTS).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    versions, found = json.loads(ran.stdout)
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    allowed = [re.findall(rf'"{name}>=(.*)"', project) for name in ("tomli", "tomlkit")]
    assert [[it.removesuffix(".0")] for it in versions] == allowed
    assert found == results(TEXTS)


@pytest.mark.parametrize(("marked", "cause"), MISTAKES)
@pytest.mark.bad_inputs("TOML", "marked")
@pytest.mark.parametrize("before", ["", "x = [\n1]\n"])
@pytest.mark.parametrize("after", ["", "\n\n[y]\nz = 'ü'\n"])
def test_what_people_really_type_is_told_with_its_cause_at_its_place(
    marked: str, cause: str, before: str, after: str
) -> None:
    start, text = (before + marked).partition("↓")[::2]
    if after and "\n" in marked and "closed" in cause:
        after = ""  # A string or a bracket may end there.
    problem = refusal(f"{start}{text}{after}".encode())
    assert problem.message == f"not valid TOML: {cause}"
    place = (start.count("\n") + 1, len(start) - start.rfind("\n"))
    assert (problem.line, problem.column) == place


@pytest.mark.parametrize("rest", ["", ', "', ", =", ", [", "."])
def test_an_inline_table_that_is_refused_before_its_end_is_told(rest: str) -> None:
    problem = refusal(f"x = 1\na = {{b = 1, b.c = 2{rest}".encode())
    assert problem.line == 2


@pytest.mark.parametrize("digits", [4_301, 100_000])
def test_an_integer_of_thousands_of_digits_is_told_with_its_line(digits: int) -> None:
    text = f"a = '{'9' * digits}'\nb = [\n  1,\n  {'9' * digits},\n]\n c = 1\n"
    problem = refusal(text.encode())
    assert problem.line == 4
    assert "64 bits" in problem.message


@pytest.mark.parametrize(
    "value",
    ["[" * 50_000, "[" * 50_000 + "]" * 50_000, "{a = " * 50_000, "[\n" * 5_000],
    ids=["open", "closed", "tables", "lines"],
)
def test_nesting_without_end_is_told_with_its_line(value: str) -> None:
    problem = refusal(f"a = 1\nb = {value}\n".encode())
    assert problem.line >= 2
    assert "nested too deeply" in problem.message


def test_a_dotted_key_of_thousands_of_parts_is_refused_or_read_but_never_fatal() -> None:
    content = ("a." * 20_000 + "a = 1\n").encode()
    try:
        file = TomlFile.parse(content, "a.toml")
    except ConfigError as error:
        assert error.problems[0].line == 1
    else:
        assert file.line_of(("a", "a")) == 1


def test_a_deep_key_has_the_line_of_the_nearest_table_around_it() -> None:
    file = parsed("x = 1\n" + "a." * 30 + "a = 1\n")
    assert file.line_of(("a",) * 31) == 2


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_byte_order_marks_and_crlf_change_neither_data_nor_lines(start: str) -> None:
    file = TomlFile.parse((start + 'a = """x\r\ny"""\r\n[b]\r\nc = 1\r\n').encode(), "a.toml")
    assert file.data == {"a": "x\ny", "b": {"c": 1}}
    assert [file.line_of(path) for path in (("a",), ("b",), ("b", "c"))] == [1, 3, 4]


@pytest.mark.parametrize("text", ["1e-5", "0.10", "+inf", "-nan", "1_000.5", "6.02E+23", "-0.0"])
def test_a_float_remembers_how_it_was_written(text: str) -> None:
    value = parsed(f"a = [{text}]").data["a"][0]
    assert isinstance(value, WrittenFloat)
    assert value.text == text.replace("_", "")
    assert repr(float(value)) == repr(float(text))


def test_what_only_looks_like_a_table_is_not_taken_for_it() -> None:
    for text in (
        'x = """\n[a.b]\n"""\n\n[a.b]',
        "x = '''\n  [a.b]  # c\n'''\n\n[a.b]",
        "x = [\n[1.5],\n[1e1]\n]\n[a.b]",
        "# [a.b]\ny = 1 #\n# [a.b]\n\n[a.b]",
        "[a]\n\n[a.c]\n[a.b.d]\n[a.b]",
        "[a]\n\n[a.c]\n[a.d]\n\t[ a . b ]  # [a.b]",
    ):
        assert TomlFile.parse(text.encode(), "a.toml").line_of(("a", "b")) == 5, text
        assert TomlFile.parse(text.encode(), "a.toml").line_of(("a", "b", "x")) == 5, text


@given(lined_documents())
@example(LinedText("", []))
def test_line_of_agrees_with_where_each_key_was_written(document: LinedText) -> None:
    file = parsed(document.text)
    assert [(path, file.line_of(path)) for path, _ in document.marks] == document.marks


LONG = 300_000
LONG_VALUES = {
    "plain": f'"{"x" * 20_000_000}"',
    "signs": f'"{"#" * LONG}"',
    "escapes": '"' + r"\n" * LONG + '"',
    "escaped quotes": '"' + r"\"" * LONG + '"',
    "lines": f'"""{"x" * LONG}"""',
    "quotes in lines": '"""' + '\\"\n""' * LONG + 'x"""""',
    "literal": f"'{'x' * LONG}'",
    "literal lines": f"'''{'x' * LONG}'''",
    "quotes in literal lines": "'''" + "''\t" * LONG + "'''''",
    "comments": "[" + "#\n" * LONG + "]",
    "one comment": "1" + "\t#" * LONG,
}


@pytest.mark.parametrize("value", LONG_VALUES.values(), ids=list(LONG_VALUES))
def test_a_long_value_is_passed_over_in_little_memory(value: str) -> None:
    text = f"a = {value}\n'b' = 1\n"
    tracemalloc.start()
    try:
        positions = positions_of(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert positions.keys["b",] == text.index("'b' = 1")


@pytest.mark.parametrize("before", ["", "x", "\\\\", '\\"', '"', '""', '\\"""', '"\\""'])
@pytest.mark.parametrize("after", ["", '"', '""'])
def test_quotes_at_the_end_of_a_text_of_lines_belong_to_it(before: str, after: str) -> None:
    file = parsed(f'a = """{before}\n{after}"""\nb = 1\n')
    assert (file.line_of(("a",)), file.line_of(("b",))) == (1, 3)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("job_config", "a", "hyperparameters"), 1),
        (("job_config", "a", "hyperparameters", "lr"), 2),
        (("job_config", "a"), 3),
        (("job_config", "a", "missing"), 3),
        (("job_config", "a", "missing", 3, "label"), 3),
        (("job_config", "b"), 1),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_a_missing_key_has_the_line_of_the_table_around_it(
    path: tuple[str | int, ...], line: int
) -> None:
    file = parsed("[job_config.a.hyperparameters]\nlr = 1\n[job_config.a]\nlog_url = ''\n")
    assert file.line_of(path) == line


@given(st.binary(max_size=60) | st.text("[]{}=.,'\"#\n\\ \t1a-_:\r", max_size=30).map(str.encode))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"a = 1\na.b = 1 ]")
@example(b"[[a]]\n[a]]")
def test_any_bytes_are_data_or_one_problem_with_a_place(content: bytes) -> None:
    try:
        file = TomlFile.parse(content, "a.toml")
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.line >= 1
        assert str(problem).isprintable()
    else:
        lines = content.count(b"\n") + 1
        assert all(1 <= file.line_of((key,)) <= lines for key in file.data)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    told = unreadable(tmp_path / "a.toml")
    assert told == "jobs/a.toml: cannot be read: No such file or directory"


def test_a_folder_is_told(tmp_path: Path) -> None:
    assert unreadable(tmp_path) == "jobs/a.toml: cannot be read: Is a directory"


def test_a_pipe_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    told = unreadable(tmp_path / "a.toml")
    assert told == "jobs/a.toml: cannot be read: it is not a regular file"


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").symlink_to("a.toml")
    assert "cannot be read: Too many levels" in unreadable(tmp_path / "a.toml")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_whose_reading_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").symlink_to("/proc/self/mem")
    assert unreadable(tmp_path / "a.toml").startswith("jobs/a.toml: cannot be read: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").touch(mode=0)
    assert unreadable(tmp_path / "a.toml") == "jobs/a.toml: cannot be read: Permission denied"
