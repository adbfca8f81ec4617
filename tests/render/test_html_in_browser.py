"""The page of a plan in headless Chromium: what it shows, the keys it answers, what assistive
technology reads, and the requests it makes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from majobctl.plan.plan import Plan
from majobctl.render.html import plan_html
from tests import browser
from tests.browser import Page
from tests.config_repository import until
from tests.render.html_plans import hostile_plan, large_plan, offline_plan, reviewed_plan

pytestmark = pytest.mark.slow
MOST_GROWTH = 10
"""Of the work of four times as many changes. Quadratic work grows by 16."""
LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2, 1.4.3 (AA)."""
LEAST_CONTRAST_OF_CONTROLS = 3.0
"""Of what a control is known by, and of the mark of the focus, by 1.4.11."""

SHOWN = "[...document.querySelectorAll('.change')].filter(item => item.checkVisibility())"
NAMES = f"{SHOWN}.map(item => item.querySelector('h3 code').textContent.split('.')[1])"
COUNT = "document.getElementById('count').textContent"

# The lowest contrast between text and what is behind it, each with the text. Colours with an alpha
# below one are not in the style.
CONTRASTS = """
(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((channels(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (first, second) => {
    const [low, high] = [light(first), light(second)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() &&
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const controls = [...document.querySelectorAll("input[type=search], select, button")];
  const focused = document.getElementById("search");
  focused.focus();
  return {
    texts: texts.map((item) =>
      [contrast(getComputedStyle(item).color, behind(item)), item.textContent.slice(0, 40)]),
    controls: controls.map((item) =>
      [contrast(getComputedStyle(item).borderTopColor, behind(item.parentElement)), item.id]),
    focus: ["body", "form", ".change"].map((place) =>
      contrast(getComputedStyle(focused).outlineColor, behind(document.querySelector(place)))),
    page: getComputedStyle(document.documentElement).backgroundColor,
  };
})()
"""
FOCUSED = """
(() => {
  const item = document.activeElement;
  const name = item.id || item.value || item.textContent.trim();
  return item.tagName === "SUMMARY" ? item.querySelector("h3 code").textContent : name;
})()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    with browser.running() as running:
        yield running


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    page = Page(chromium)
    page.resize(1280, 900)
    page.prefer("light")
    yield page
    assert page.complaints() == []
    page.close()


def show(page: Page, plan: Plan, folder: Path) -> str:
    """Opens the page of ``plan`` and gives its address."""
    file = folder / "plan.html"
    file.write_text(plan_html(plan), encoding="ascii")
    page.open(file.as_uri())
    return file.as_uri()


def search_for(page: Page, text: str) -> None:
    """Writes ``text`` into the search and waits until the changes follow."""
    page.evaluate("document.getElementById('search').select()")
    if text:
        page.write(text)
    else:
        page.press("DELETE")
    page.evaluate("new Promise(done => setTimeout(done, 150))")
    page.painted()


def choose(page: Page, **fields: Any) -> None:
    """Sets the file by its text, or an action's box."""
    for name, value in fields.items():
        if name == "file":
            page.evaluate(
                "(text => { const file = document.getElementById('file');"
                " file.selectedIndex = [...file.options].findIndex(item => item.text === text);"
                " file.dispatchEvent(new Event('change', {bubbles: true})) })"
                f"({value!r})"
            )
        else:
            page.evaluate(f"document.querySelector('input[value={name}]').click()")
    page.painted()


def test_everything_is_shown_at_first(page: Page, tmp_path: Path) -> None:
    show(page, offline_plan(), tmp_path)
    assert page.evaluate(NAMES) == ["retired", "sentiment", "vision"]
    assert page.evaluate(COUNT) == "Showing 3 of 3 changes."


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("senti", ["retired", "sentiment", "vision"]),
        ("config.sentiment", ["sentiment"]),
        ("EPOCHS", ["retired", "sentiment", "vision"]),
        ('hyperparameters.epochs "20"', ["sentiment"]),
        ("jobs/vision.toml", ["vision"]),
        ("stays", ["retired"]),
        ("update", []),
        ("not set", []),
        ("no such text", []),
    ],
)
def test_the_search_finds_names_keys_values_and_files(
    page: Page, tmp_path: Path, text: str, names: list[str]
) -> None:
    show(page, offline_plan(), tmp_path)
    search_for(page, text)
    assert page.evaluate(NAMES) == names
    wanted = f"Showing {len(names)} of 3 changes." if names else "None of the 3 changes matches."
    assert page.evaluate(COUNT) == wanted


def test_the_filters_work_together_and_the_counts_follow(page: Page, tmp_path: Path) -> None:
    show(page, large_plan(40), tmp_path)
    numbers = "[...document.querySelectorAll('.number')].map(item => Number(item.textContent))"
    assert page.evaluate(numbers) == [8, 28, 4]
    choose(page, file="jobs/team-00/resnet-0002.toml")
    assert page.evaluate(numbers) == [2, 7, 0]
    assert page.evaluate(COUNT) == "Showing 9 of 40 changes."
    choose(page, update=False)
    assert page.evaluate(numbers) == [2, 7, 0]
    assert page.evaluate(NAMES) == ["resnet-00027", "resnet-00028"]
    search_for(page, "00028")
    assert page.evaluate(NAMES) == ["resnet-00028"]
    assert page.evaluate(numbers) == [1, 0, 0]
    page.evaluate("document.querySelector('button[type=reset]').click()")
    page.painted()
    assert page.evaluate(COUNT) == "Showing 40 of 40 changes."
    choose(page, file="(in no file)")
    assert page.evaluate(NAMES) == [f"resnet-000{number}9" for number in range(4)]


def test_all_that_is_shown_opens_and_closes_at_once(page: Page, tmp_path: Path) -> None:
    show(page, large_plan(40), tmp_path)
    search_for(page, "jobs/team-00/resnet-0001.toml")
    opened = "document.querySelectorAll('.change[open]').length"
    page.evaluate("document.getElementById('open').click()")
    assert page.evaluate(opened) == 9
    page.evaluate("document.getElementById('close').click()")
    assert page.evaluate(opened) == 0


def test_the_work_of_the_page_grows_with_the_changes_and_no_faster(
    page: Page, tmp_path: Path
) -> None:
    page.call("Performance.enable")
    small = min(seconds_of_work(page, tmp_path, 1250) for _ in range(2))
    large = min(seconds_of_work(page, tmp_path, 5000) for _ in range(2))
    assert large < MOST_GROWTH * small


def seconds_of_work(page: Page, folder: Path, count: int) -> float:
    """How long the page's process works to search, filter and open ``count`` changes."""
    show(page, large_plan(count), folder)
    before = seconds_worked(page)
    for text, found in (("resnet-00", min(count, 1000)), ('"328"', 1)):
        search_for(page, text)
        assert page.evaluate(COUNT) == f"Showing {found} of {count} changes."
    search_for(page, "")
    choose(page, update=False)
    assert page.evaluate(COUNT) == f"Showing {3 * count // 10} of {count} changes."
    choose(page, file="jobs/team-07/resnet-0071.toml")
    assert page.evaluate(COUNT) == f"Showing 2 of {count} changes."
    page.evaluate("document.querySelector('button[type=reset]').click()")
    page.painted()
    assert page.evaluate(COUNT) == f"Showing {count} of {count} changes."
    page.evaluate("document.getElementById('open').click()")
    page.painted()
    return seconds_worked(page) - before


def seconds_worked(page: Page) -> float:
    metrics = page.call("Performance.getMetrics")["metrics"]
    return next(float(item["value"]) for item in metrics if item["name"] == "TaskDuration")


class Counting(ThreadingHTTPServer):
    """Serves one page at every path, and keeps the paths that were asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Counting

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the output of the tests clean."""


def test_no_request_leaves_the_page(page: Page) -> None:
    with Counting(plan_html(hostile_plan()).encode()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/plan.html"
            page.open(address)
            search_for(page, "script")
            page.press("ENTER")
            page.painted()
        finally:
            server.shutdown()
            thread.join()
        assert server.paths == ["/plan.html"]
        assert page.requests() == [address]


def test_hostile_texts_are_shown_and_do_nothing(page: Page, tmp_path: Path) -> None:
    address = show(page, hostile_plan(), tmp_path)
    assert page.requests() == [address]
    assert page.evaluate("document.title").startswith("Plan: ")
    assert page.evaluate(COUNT) == "Showing 10 of 10 changes."
    assert page.evaluate("document.scripts.length") == 1
    search_for(page, "</script><script>")
    assert page.evaluate(COUNT) == "Showing 2 of 10 changes."
    choose(page, file="\"'`&amp;${version}$summary")
    assert page.evaluate(COUNT) == "None of the 10 changes matches."


def test_the_policy_stops_scripts_styles_and_requests_of_others(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    page = Page(chromium)
    show(page, offline_plan(), tmp_path)
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend',"
        """ '<img src="http://127.0.0.1:1/x" onerror="document.title=1"><i style="color:red">')"""
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'document.title = 1'}))"
    )
    answer = page.evaluate("fetch('http://127.0.0.1:1/').catch(error => 'refused')")
    page.painted()
    assert answer == "refused"
    assert page.evaluate("document.title").startswith("Plan: ")
    color = page.evaluate("getComputedStyle(document.querySelector('i')).color")
    assert color != "rgb(255, 0, 0)"
    refused = " ".join(page.complaints())
    for kind in ("img-src", "script-src", "style-src", "connect-src"):
        assert kind in refused
    page.close()


def test_without_scripts_it_is_a_readable_document(page: Page, tmp_path: Path) -> None:
    page.without_scripts()
    file = tmp_path / "plan.html"
    file.write_text(plan_html(offline_plan()))
    page.call("Page.navigate", url=file.as_uri())
    state = "document.readyState + document.title"
    until(lambda: page.evaluate(state).startswith("completePlan"), "the page")
    assert page.evaluate(NAMES) == ["retired", "sentiment", "vision"]
    assert page.evaluate("document.getElementById('filters').checkVisibility()") is False
    shown = page.evaluate("document.body.innerText")
    for text in ("Plan: 1 to add", "3 changes.", "train_instance_count", '"20"', "not set"):
        assert text in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(page: Page, tmp_path: Path, scheme: str) -> None:
    page.prefer(scheme)
    show(page, reviewed_plan(), tmp_path)
    page.evaluate("document.getElementById('open').click()")
    found = page.evaluate(CONTRASTS)
    assert len(found["texts"]) > 100
    assert [item for item in found["texts"] if item[0] < LEAST_CONTRAST] == []
    assert len(found["controls"]) == 5
    assert [item for item in found["controls"] if item[0] < LEAST_CONTRAST_OF_CONTROLS] == []
    assert min(found["focus"]) >= LEAST_CONTRAST_OF_CONTROLS
    assert found["page"] == {"light": "rgb(247, 247, 245)", "dark": "rgb(21, 24, 27)"}[scheme]


def test_the_tab_key_reaches_the_search_the_filters_and_the_changes(
    page: Page, tmp_path: Path
) -> None:
    show(page, offline_plan(), tmp_path)
    reached = []
    for _ in range(11):
        page.press("TAB")
        reached.append(page.evaluate(FOCUSED))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == [
        *("Skip to the changes", "search", "file", "add", "update", "forget"),
        *("Clear filters", "open", "close", "job_config.retired", "job_config.sentiment"),
    ]
    page.press("ENTER")
    assert page.evaluate("document.activeElement.parentElement.open") is False
    page.press("ENTER")
    assert page.evaluate("document.activeElement.parentElement.open") is True


def test_the_skip_link_leads_to_the_changes(page: Page, tmp_path: Path) -> None:
    show(page, reviewed_plan(), tmp_path)
    page.press("TAB")
    page.press("ENTER")
    page.press("TAB")
    assert page.evaluate(FOCUSED) == "search"


def test_what_has_the_focus_is_not_behind_the_filters(page: Page, tmp_path: Path) -> None:
    show(page, large_plan(100), tmp_path)
    bottom = "document.getElementById('filters').getBoundingClientRect().bottom"
    top = "document.activeElement.getBoundingClientRect().top"
    page.evaluate("document.querySelectorAll('.change > summary')[60].focus()")
    page.evaluate(f"scrollBy(0, {top} - {bottom} - 5)")
    for _ in range(3):
        page.press("TAB", shift=True)
        page.painted()
        assert page.evaluate(top) >= page.evaluate(bottom)
    assert page.evaluate(FOCUSED) == "job_config.resnet-00057"


def test_landmarks_names_and_headings_are_read_aloud(page: Page, tmp_path: Path) -> None:
    show(page, reviewed_plan(), tmp_path)
    nodes = page.accessible()
    for wanted in [
        ("banner", ""),
        ("main", ""),
        ("contentinfo", ""),
        ("search", "Changes"),
        ("region", "Changes"),
        ("region", "Warnings"),
        ("searchbox", "Search names, keys, values and files"),
        ("combobox", "File"),
        ("group", "Action"),
        ("checkbox", "~ update 4"),
        ("button", "Clear filters"),
        ("table", "Fields of sentiment"),
        ("columnheader", "Before (the state)"),
        ("rowheader", "hyperparameters.lr"),
    ]:
        assert wanted in nodes, wanted
    named = {"searchbox", "combobox", "checkbox", "button", "table", "link", "region", "search"}
    assert [item for item in nodes if item[0] in named and not item[1]] == []
    assert "status" in {role for role, _ in nodes}
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(item => Number(item.tagName[1]))"
    )
    assert levels == [1, 2, 2, *[3] * len(reviewed_plan().changes)]


@pytest.mark.parametrize("width", [320, 640])
def test_a_narrow_screen_does_not_scroll_sideways(page: Page, tmp_path: Path, width: int) -> None:
    page.resize(width, 640)
    for plan in (reviewed_plan(), hostile_plan()):
        show(page, plan, tmp_path)
        page.evaluate("document.getElementById('open').click()")
        page.painted()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_narrow_screen_keeps_the_tables_for_who_hears_them(page: Page, tmp_path: Path) -> None:
    page.resize(360, 640)
    show(page, offline_plan(), tmp_path)
    wanted = {("table", "Fields of sentiment"), ("columnheader", "After")}
    assert {*wanted, ("rowheader", "hyperparameters.lr")} <= {*page.accessible()}


def test_what_is_printed_has_all_fields_and_no_controls(page: Page, tmp_path: Path) -> None:
    show(page, large_plan(30), tmp_path)
    search_for(page, "resnet-0002")
    fields = f"{SHOWN}.map(item => item.querySelector('tbody th').checkVisibility())"
    assert set(page.evaluate(fields)) == {False}
    page.prefer("dark", "print")
    page.painted()
    assert page.evaluate(fields) == [True] * 10
    assert page.evaluate("document.getElementById('filters').checkVisibility()") is False
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 35, 40)"


def test_the_browser_is_gone_when_it_is_done_with(tmp_path: Path) -> None:
    with browser.running() as running:
        show(Page(running), offline_plan(), tmp_path)
        lock = Path(running.capabilities["chrome"]["userDataDir"], "SingletonLock")
        process = Path("/proc", os.readlink(lock).rpartition("-")[2])
        assert process.exists()
    until(lambda: not process.exists(), "the end of the browser")


def test_a_missing_driver_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(browser.BrowserMissingError, match=r"apt-get install .*chromium-driver"),
        browser.running(),
    ):
        raise AssertionError("it was started")
