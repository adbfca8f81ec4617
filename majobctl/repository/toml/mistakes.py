"""Why a text is not TOML, in words for what people really type, and where that is."""

from __future__ import annotations

import re

import tomli

from majobctl.repository.toml.positions import Positions, positions_until
from majobctl.text import CONFLICT_MARKER, cut, is_unseen

_CONFLICT = "this is git's conflict marker; keep the lines that are meant, and remove the markers"
_QUOTES = "“”„‟«»‘’‚‛‹›′″＂＇"
_DASHES = "‐‑‒–—―−"
_CONTEXT = 300
"""How many characters beside a mistake are looked at: a line may have millions."""
_NO_BLOCKS = "TOML has no blocks; write a header in [ ] above these keys"
_COMMENT = "a comment starts with #"
_NAME = "a table's name has only letters, digits, _ and -, and no space"
_HERE = r".*\n.*\n"
"""Passes the message and the line: what follows is the text at the mistake."""
_HEADER = re.compile(r"[ \t]*\[+[\w.\"'-]+\]+[ \t]*(#|$)")
_KEY = re.compile(r"[ \t]*[\w.-]+[ \t]*=")
_MISTAKES = (
    (rf"Invalid statement{_HERE}(<{{7}}|>{{7}}|\|{{7}}|={{7}}$)", _CONFLICT),
    (rf"(Invalid statement|Expected newline){_HERE}(//|/\*)", _COMMENT),
    (rf"Invalid statement{_HERE};", _COMMENT),
    (rf"Invalid statement{_HERE}(@@ |\+)", "this is a line of a diff; keep the file's own text"),
    (rf"Invalid statement{_HERE}`", "this is Markdown; remove this line"),
    (rf"Invalid statement{_HERE}=", "the key before = is missing"),
    (rf"Invalid statement{_HERE}\{{", "a table has a header in [ ], and a line for each key"),
    (rf"Invalid statement{_HERE}[\])}}]", "this bracket closes nothing; remove it"),
    (
        "Invalid statement",
        "a line is KEY = VALUE, a header in [ ], or a comment that starts with #",
    ),
    (r"Expected '='.*\nversion https://git-lfs", "this is a Git LFS pointer; run `git lfs pull`"),
    (r"Expected '='.*\n\s*--", f"this line is neither a key nor a header; {_COMMENT}"),
    (rf"Expected '='{_HERE}(:[ \t]*(#|$)|[^\n=]*\{{[ \t]*$)", _NO_BLOCKS),
    (rf"Expected '='{_HERE}:", "write = instead of :"),
    (rf"Expected '='{_HERE}[\w\"'.-]+[ \t]*=", "a key has no spaces, and no word before it"),
    (rf"Expected '='{_HERE}[,}}]", "this key has no value; an array is in [ ]"),
    ("Expected '='", "the = after the key is missing"),
    (rf"Invalid value{_HERE}[=>]", "write a single = between the key and its value"),
    (rf"Invalid value{_HERE}\(", "an array is in [ ]"),
    (rf"Invalid value{_HERE}[ \t]*\n[ \t]*- ", 'an array is in [ ], such as ["a", "b"]'),
    (rf"Invalid value{_HERE}#", "the value is missing: # begins a comment"),
    (rf"Invalid value{_HERE}([\]}},]|$)", "the value is missing"),
    (r"Expected newline.*\n[ \t]*\[.*\n\]", "this ] is one too many"),
    (r"Expected newline.*\n[ \t]*\[", "a key goes on a line of its own, below the header"),
    (rf"Expected newline{_HERE},\d", "a number has no commas, and an array is in [ ]"),
    (rf"Expected newline{_HERE}[,;]", "a line ends after its value; remove what follows"),
    (rf"Expected newline{_HERE}[+\"']", "TOML does not join strings; write them as one"),
    (rf"Expected newline{_HERE}[\w.-]+[ \t]*=", "each key needs a line of its own"),
    ("Expected newline", "only a comment can follow a value on its line"),
    ("Unclosed array", "a comma or ] is missing before this"),
    ("Unclosed inline", "a comma or } is missing before this"),
    (rf"Expected '\]+'{_HERE}[ \t]*(#|$)", "the ] of this header is missing"),
    (rf"Expected '\]\]'{_HERE}\]", "this header begins with [[, so it ends with ]]"),
    (rf"Invalid initial{_HERE}([\]}}.,=#]|$)", "a name is missing here"),
    (r"Expected '\]|Invalid initial", _NAME),
)
"""Patterns of tomli's message, the line and the text at the mistake, each in a line, and the cause.
The first that matches counts."""
_VALUES = (
    ("(?i:true|false)", "write true and false in small letters"),
    ("(?i:none|null|nil|undefined)|~", "TOML has no empty value; leave the key out"),
    ("(?i:yes|no|on|off)", "write true or false; a text is in double quotes"),
    ("[+-]?(?i:nan|inf|infinity)", "TOML has inf and nan, in small letters"),
    (r"[+-]?0[\d_]+(\.\d*)?", "a number does not start with 0; write it in quotes if it is text"),
    (r"[+-]?(\d+\.([eE]\S+)?|\.\d+)", "a float has digits before and after its dot, such as 1.0"),
    (r"[+-]?\d.*", "this is neither a number nor a date; write the text in double quotes"),
    (r"(?i:[bfru]{1,2})[\"'].*", "a string has no letter before its quotes; remove it"),
    ("`.*", 'write " instead of `'),
    (r"[^\s=>(,#\]}].*", "write the text in double quotes"),
)
"""Patterns of a value that is no string, array or table, and what to do."""

_Mistake = tuple[int, str] | None


def mistake_in(text: str, error: tomli.TOMLDecodeError) -> tuple[int, str]:
    """The offset of the mistake that ``error`` is about, and its cause."""
    found = positions_until(text, error.pos)
    steps = (_conflict, _repeated, _escape, _open_string, _open_bracket, _foreign, _value)
    for step in steps:
        if mistake := step(text, error.msg, error.pos, found):
            return mistake
    start, end = _line(text, error.pos)
    line = text[start : min(end, start + _CONTEXT)]
    subject = f"{error.msg}\n{line}\n{text[error.pos : error.pos + _CONTEXT]}"
    causes = (cause for it, cause in _MISTAKES if re.match(it, subject, re.MULTILINE))
    return error.pos, next(causes, error.msg)


def _line(text: str, pos: int) -> tuple[int, int]:
    start, end = text.rfind("\n", 0, pos) + 1, text.find("\n", pos)
    return start, len(text) if end < 0 else end


def _conflict(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """The first of git's conflict markers if one is why ``text`` is not TOML. A string may have
    lines that look like them, and the mistake be elsewhere; a conflict may leave it open."""
    markers = [*CONFLICT_MARKER.finditer(text)]
    line, _ = _line(text, pos)
    kinds = {marker[0][0] for marker in markers}
    is_conflict = pos == len(text) and kinds >= {*"<=>"}
    if is_conflict or any(it.start() == line for it in markers):
        return markers[0].start(), _CONFLICT
    return None


def _repeated(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """A key or a table that is defined twice, with both lines."""
    if not message.startswith(("Cannot ", "Duplicate inline")):
        return None
    if found.repeated:
        path, first, second = found.repeated
        how = "is defined twice, first on line"
    else:
        path, second = found.last
        if text[second] == "[" and not re.match(r"[ \t]*\]", text[pos : pos + _CONTEXT]):
            return pos, _NAME
        before = positions_until(text, second).keys
        while path and path not in before:
            path = path[:-1]
        first, how = before.get(path, 0), "is already defined in another form, on line"
    key = cut(".".join(part for part in path if isinstance(part, str)))
    return second, f"{key} {how} {text.count(chr(10), 0, first) + 1}"


def _escape(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    if not message.startswith(("Unescaped", "Invalid hex", "Escaped character")):
        return None
    at = text.rfind("\\", 0, pos)
    after = text[at + 1 : at + 2]
    if message.startswith("Escaped"):
        return at, "this escape is not a character; write the character itself"
    if text.startswith("\\${", at):
        return at, "write $${ for a literal ${"
    if after == "\n":
        return at, 'only a text in """ can go on in the next line'
    if after and after in "'/$":
        return at, f"{after} needs no backslash; remove it"
    return at, r"write \\ for a backslash, or put the text in single quotes"


def _open_string(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """A string that ends neither on its line nor, if it may have lines, at all."""
    quote = '"' if message.startswith(("Illegal", "Unterminated")) else "'"
    if message.startswith(("Unterminated", 'Expected "')):
        at = text.rfind(quote, 0, pos) if found.quote is None else found.quote
        if text.startswith(quote * 3, at):
            return at, f"this {quote * 3} is never closed"
        pos = _line(text, at)[1]
    elif message not in (r"Illegal character '\n'", r"Found invalid character '\n'"):
        return None
    line = text[max(_line(text, pos)[0], pos - _CONTEXT) : pos]
    end = re.search(rf"([\"'{_QUOTES}])[\s,\]}}]*$", line)
    before = pos - len(line)
    if end and end[1] in _QUOTES:
        return before + end.start(), f"this is a typographic quote; write {quote} instead"
    if end and end[1] != quote:
        return before + end.start(), f"this string begins with {quote}, so it ends with {quote}"
    if end and re.search(r"(?<!\\)(\\\\)*\\$", line[: end.start()]):
        why = r"this \ makes the quote a part of the text; write \\, or use single quotes"
        return before + end.start() - 1, why
    return pos, "this string is not closed on its line"


def _open_bracket(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """A bracket that is open where the text ends, or where the next key or header is."""
    start, end = _line(text, pos)
    line = text[start : min(end, start + _CONTEXT)]
    around = [it for it in found.unclosed if it < (pos if pos == len(text) else start)]
    bracket = text[around[-1]] if around else ""
    starts = _HEADER.match(line) or (bracket == "[" and _KEY.match(line))
    is_open = bracket and (pos == len(text) or starts)
    return (around[-1], f"this {bracket} is never closed") if is_open else None


def _foreign(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """A character that only looks like one of TOML's, or that nobody sees."""
    import unicodedata

    char = text[pos : pos + 1]
    if not char or " " <= char <= "~" or char in "\t\n":
        return None
    if char.isalpha() and message.startswith(("Invalid value", "Expected newline", "Unclosed")):
        return None
    named = f"U+{ord(char):04X} ({unicodedata.name(char, 'control character').lower()})"
    plain = "-" if char in _DASHES else unicodedata.normalize("NFKC", char)
    if char == "\ufeff":
        return pos, "this is a byte-order mark; remove it"
    if char in _QUOTES:
        return pos, 'this is a typographic quote; write " instead'
    if plain == " ":
        return pos, f"this is {named}; write a plain space instead"
    if is_unseen(char):
        return pos, f"this is {named}, which nobody sees; remove it"
    if len(plain) == 1 and plain.isascii():
        return pos, f"this is {named}; write {plain} instead"
    if char.isalpha():
        return pos, f"this is {named}; a name without quotes has only A-Z a-z 0-9 _ -"
    return pos, f"this is {named}, which is only allowed in a string or a comment"


def _value(text: str, message: str, pos: int, found: Positions) -> _Mistake:
    """A value that TOML does not know, from its beginning, or quotes inside a string."""
    is_start = message == "Invalid value"
    if not is_start and not message.startswith(("Expected newline", "Unclosed")):
        return None
    start = (
        "" if is_start else re.split(r"[\s=,\[\]{}\"'#]", text[max(0, pos - _CONTEXT) : pos])[-1]
    )
    rest = re.split(r"[\s,;\]}#]", text[pos : pos + _CONTEXT], maxsplit=1)[0]
    if not is_start and rest and text[pos - 1] in "\"'" and text[pos] not in "+;":
        return pos - 1, 'a quote ends the text here; put the other quotes around it, or write \\"'
    if not is_start and not (start and rest):
        return None
    causes = (cause for it, cause in _VALUES if re.fullmatch(it, start + rest))
    return next(((pos - len(start), cause) for cause in causes), None)
