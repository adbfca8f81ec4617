"""The site builds without a warning, is complete, and requests nothing from other hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(path.stem for path in DOCS.glob("*.md")), "CHANGELOG"]
REQUESTS = {
    ("script", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("iframe", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
    ("audio", "src"),
    ("embed", "src"),
    ("object", "data"),
    ("link", "href"),
}
"""The elements and attributes by which a page makes a browser ask for something."""


@dataclass
class Seen(HTMLParser):
    """What a page of the site has."""

    requests: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    schemes: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in REQUESTS:
                self.requests.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")
            elif name in ("id", "name"):
                self.ids.add(value or "")
            elif name == "style":
                self.styles.append(value or "")
            elif name == "data-md-color-scheme" and tag == "input":
                self.schemes.append(value or "")

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@dataclass(frozen=True)
class Site:
    folder: Path
    messages: str

    def pages(self) -> Iterator[tuple[str, Seen]]:
        for path in sorted(self.folder.rglob("*.html")):
            yield path.relative_to(self.folder).as_posix(), self.page(path)

    def page(self, path: Path) -> Seen:
        seen = Seen()
        seen.feed((self.folder / path).read_text(encoding="utf-8"))
        return seen


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return Site(folder, ended.stderr)


def test_the_site_builds_without_a_warning(site: Site) -> None:
    assert "Documentation built" in site.messages
    assert "WARNING" not in site.messages
    assert "excluded from the built site" not in site.messages


def test_every_page_is_there_and_in_the_navigation_of_the_first(site: Site) -> None:
    linked = site.page(Path("index.html")).links
    for page in PAGES:
        assert (site.folder / f"{page}.html").is_file()
        assert page == "index" or f"{page}.html" in linked


def test_nothing_is_asked_of_another_host(site: Site) -> None:
    for name, page in site.pages():
        assert page.requests
        for request in page.requests:
            parts = urlsplit(request)
            assert not parts.netloc and parts.scheme in ("", "data"), f"{request} in {name}"
        assert not [style for style in page.styles if "url(" in style], name


def test_no_style_sheet_asks_another_host(site: Site) -> None:
    sheets = list(site.folder.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text
        places = re.findall(r"url\(\s*['\"]?([^'\")]*)", text)
        assert not [place for place in places if re.match(r"(https?:)?//", place)]


def test_nothing_makes_the_scripts_ask_another_host(site: Site) -> None:
    """The theme's script loads Mermaid if a page has a diagram, and figures of a repository
    if the settings name one."""
    for path in site.folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert 'class="mermaid"' not in text
        assert 'data-md-component="source"' not in text


def test_links_within_the_site_lead_somewhere(site: Site) -> None:
    pages = dict(site.pages())
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            target = (site.folder / name).parent / unquote(parts.path) if parts.path else None
            target = (target or site.folder / name).resolve()
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{link} in {name}"
            if parts.fragment and target.suffix == ".html":
                inside = pages[target.relative_to(site.folder.resolve()).as_posix()]
                assert unquote(parts.fragment) in inside.ids, f"{link} in {name}"


def test_comments_for_the_generation_of_pages_are_left_out(site: Site) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    assert "<!-- transcript: " in sources and "<!-- generated: " in sources
    for name, page in site.pages():
        assert not page.comments, name
        text = "".join(page.words)
        assert "<!-- transcript" not in text and "<!-- generated" not in text, name


def test_a_pipe_in_the_code_of_a_table_is_shown_as_it_is(site: Site) -> None:
    assert "text\\|json" in (DOCS / "commands.md").read_text(encoding="utf-8")
    text = "".join(site.page(Path("commands.html")).words)
    assert "text|json" in text
    assert "\\|" not in text


def test_no_table_or_list_is_shown_as_text(site: Site) -> None:
    """As when an empty line cuts a table, or no empty line is above a list."""
    for path in site.folder.rglob("*.html"):
        for text in re.findall(r"<p>(.*?)</p>", path.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"^(\||[-*+] |\d+\. )", text, re.MULTILINE), path.name


def test_only_what_is_for_readers_is_there(site: Site) -> None:
    here = {path.name for path in DOCS.glob("*.py")}
    there = {path.name for path in site.folder.rglob("*") if path.is_file()}
    assert here
    assert not here & there


def test_schemas_and_examples_that_pages_name_come_along_unchanged(site: Site) -> None:
    schemas = sorted(DOCS.glob("schema/*.json"))
    examples = sorted(site.folder.glob("examples/**/*.*"))
    assert schemas and examples
    for schema in schemas:
        assert (site.folder / "schema" / schema.name).read_bytes() == schema.read_bytes()
    for example in examples:
        assert (ROOT / example.relative_to(site.folder)).read_bytes() == example.read_bytes()


def test_the_changelog_is_the_one_of_the_repository(site: Site) -> None:
    source = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", source, re.MULTILINE)
    text = "".join(site.page(Path("CHANGELOG.html")).words)
    assert versions
    assert all(version in text for version in versions)


def test_the_search_finds_every_page(site: Site) -> None:
    index = json.loads((site.folder / "search/search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {f"{page}.html" for page in PAGES} <= found


def test_there_is_a_light_and_a_dark_scheme(site: Site) -> None:
    assert {"default", "slate"} <= set(site.page(Path("index.html")).schemes)
