"""What the documentation site does to the pages, so that they read well without it, too.

Comments are left out, and files outside this folder that the pages link to come along under their
own paths: CHANGELOG.md as a page, examples as they are. MkDocs calls this by mkdocs.yml.
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
    """Adds the changelog, and what else the pages link to outside this folder."""
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
    """The page without its comments, its links out of this folder led to the copies."""
    parts = _BLOCK.split(markdown)
    texts = [_shown(text, page.file.src_uri) for text in parts[::3]]
    return "".join(text + block for text, block in zip_longest(texts, parts[1::3], fillvalue=""))


def _shown(text: str, page: str) -> str:
    text = _TABLE_ROW.sub(lambda row: _CODE.sub(_bare, row.group()), _COMMENT.sub("", text))
    return _LINK.sub(lambda link: _led(link.group(), page), text)


def _bare(code: re.Match[str]) -> str:
    """On GitHub, a ``|`` in the code of a table needs a backslash; here it would be shown."""
    return code.group().replace("\\|", "|")


def _led(link: str, page: str) -> str:
    path = _in_site(link, page)
    return posixpath.relpath(path, posixpath.dirname(page) or ".") if path else link


def _in_site(link: str, page: str) -> str:
    """The site's path of the file that a page links to; "" where there is no such file."""
    place = f"docs/{page}" if _is_page_here(page) else page
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    is_ours = not target.startswith("..") and (ROOT / target).is_file()
    return target.removeprefix("docs/") if is_ours else ""


def _is_page_here(path: str) -> bool:
    return (ROOT / "docs" / path).is_file()
