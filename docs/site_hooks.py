"""Adapts the pages for the documentation site, so that they also read well on GitHub.

Removes comments, and copies the files outside this folder that the pages link to under their own
paths: CHANGELOG.md as a page, examples unchanged. MkDocs calls it because of mkdocs.yml.
"""

from __future__ import annotations

import posixpath
import re
from itertools import zip_longest
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
_CHANGELOG = "CHANGELOG.md"
_BLOCK = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^ *<!--.*?--> *\n", re.MULTILINE | re.DOTALL)
_TABLE_ROW = re.compile(r"^\|.*$", re.MULTILINE)
_CODE = re.compile(r"`[^`]+`")
_LINK = re.compile(r"(?<=\]\()[^)\s#:]+(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the changelog, and the other files outside this folder that the pages link to."""
    texts = [(page.src_uri, page.content_string) for page in files.documentation_pages()]
    texts.append((_CHANGELOG, (ROOT / _CHANGELOG).read_text(encoding="utf-8")))
    linked = {_in_site(link, page) for page, text in texts for link in _LINK.findall(text)}
    files.append(_outside(_CHANGELOG, config, InclusionLevel.INCLUDED))
    for path in sorted(linked - {""}):
        if files.get_file_from_path(path) is None and not _is_page_here(path):
            files.append(_outside(path, config, InclusionLevel.NOT_IN_NAV))
    return files


def _outside(path: str, config: MkDocsConfig, inclusion: InclusionLevel) -> File:
    return File.generated(config, path, abs_src_path=str(ROOT / path), inclusion=inclusion)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page without comments, with its links out of this folder pointing to the copies."""
    parts = _BLOCK.split(markdown)
    texts = [_shown(text, page.file.src_uri) for text in parts[::3]]
    return "".join(text + block for text, block in zip_longest(texts, parts[1::3], fillvalue=""))


def _shown(text: str, page: str) -> str:
    text = _TABLE_ROW.sub(lambda row: _CODE.sub(_bare, row.group()), _COMMENT.sub("", text))
    return _LINK.sub(lambda link: _relinked(link.group(), page), text)


def _bare(code: re.Match[str]) -> str:
    """In a table, GitHub needs a backslash before a ``|`` in code; MkDocs would show it."""
    return code.group().replace("\\|", "|")


def _relinked(link: str, page: str) -> str:
    path = _in_site(link, page)
    return posixpath.relpath(path, posixpath.dirname(page) or ".") if path else link


def _in_site(link: str, page: str) -> str:
    """The path in the site of the file that a page links to; "" if the file does not exist."""
    place = f"docs/{page}" if _is_page_here(page) else page
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    is_file_here = not target.startswith("..") and (ROOT / target).is_file()
    return target.removeprefix("docs/") if is_file_here else ""


def _is_page_here(path: str) -> bool:
    return (ROOT / "docs" / path).is_file()
