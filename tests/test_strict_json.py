"""Documents from outside: what is not JSON is refused, and a wrong value is named by its path."""

from __future__ import annotations

import pytest

from majobctl.strict_json import JsonError, Node, parse_object

DOCUMENT = parse_object(
    b'{"changes": [{"source": {"line": "3", "file": "a"}}], "odd key": [1, true], "n": null}'
)

CONFLICT = "it contains git's conflict markers"
MARKERS = (b"<<<<<<< HEAD", b"||||||| 1f2e", b"=======", b"=======\r", b">>>>>>>", b">>>>>>> a b")
UTF16 = "it is UTF-16, as Windows PowerShell's > writes it; save it as UTF-8"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "it is not UTF-8: byte 0"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"[job]", "it is not JSON (line 1, column 2)"),
        (b"\xef\xbb\xbf{}", "it begins with a byte-order mark; save it as UTF-8 without one"),
        *((b'{\n%s\n"a": 1}' % marker, CONFLICT) for marker in MARKERS),
        (b'{"a": {"b": 1, "b": 1}}', 'the key "b" appears twice in one object'),
        *(('{"a": 1}'.encode(form), UTF16) for form in ("utf-16", "utf-16-le", "utf-16-be")),
        (b"\0\0\0", "it is not JSON (line 1, column 1)"),
        (b'{"a": %s}' % (b"1" * 5_000), "a number has too many digits"),
        (b'{\n"a" 1}', "it is not JSON (line 2, column 5)"),
        (b"[]", "it is not a JSON object"),
        (b'{"a": NaN}', "it is not JSON: NaN is not a number"),
        (b'{"a": 1e999}', "1e999 is too large for a number"),
        (b'{"a": "\\ud800"}', "it has half of a surrogate pair in a string"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_not_a_json_object_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse_object(content)
    assert str(caught.value) == reason


def test_a_whole_pair_of_surrogates_is_a_character() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda node: node["changes"].text(), "changes must be a string, not an array"),
        (lambda node: node["change"], "change is missing"),
        (
            lambda node: [item["source"]["line"].integer() for item in node["changes"].items()],
            "changes[0].source.line must be an integer, not a string",
        ),
        (lambda node: node["odd key"].texts(), '"odd key"[0] must be a string, not an integer'),
        (
            lambda node: [item.integer() for item in node["odd key"].items()],
            '"odd key"[1] must be an integer, not a boolean',
        ),
        (lambda node: node["n"].flag(), "n must be true or false, not null"),
        (lambda node: node["n"]["x"], "n must be an object, not null"),
        (lambda node: Node([]).table(), "it must be an object, not an array"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(read: object, reason: str) -> None:
    assert callable(read)
    with pytest.raises(JsonError) as caught:
        read(Node(DOCUMENT))
    assert str(caught.value) == reason
