"""Headless Chromium for tests of pages, driven by selenium.

Needs the Debian packages ``chromium`` and ``chromium-driver``; selenium downloads nothing. The
browser resolves no host but 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

_SCRIPT_SECONDS = 120
_OPTIONS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)


class BrowserMissingError(Exception):
    """Chromium or its driver is not installed."""


def find_program(*names: str) -> str:
    """The path of the first of ``names`` that is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise BrowserMissingError(
        f"cannot find {names[0]}, which the tests of pages need\n"
        "On Debian: apt-get install chromium chromium-driver"
    )


class Page:
    """A tab. Opening one makes it the tab that the driver controls."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver
        self._requests: list[str] = []
        self._complaints: list[str] = []
        driver.switch_to.new_window("tab")
        self._read_logs()
        self._requests, self._complaints = [], []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, for what WebDriver does not offer."""
        result: dict[str, Any] = self._driver.execute_cdp_cmd(method, params)
        return result

    def open(self, address: str) -> None:
        """Returns when the page is loaded and painted."""
        self._driver.get(address)
        self.painted()

    def painted(self) -> None:
        """Waits until all changes are on the screen."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; of a promise, the value it resolves to."""
        return self._driver.execute_script(f"return ({expression})")

    def prefer(self, scheme: str = "light", media: str = "screen") -> None:
        """``scheme`` is ``light`` or ``dark``, ``media`` is ``screen`` or ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def without_scripts(self) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Presses and releases a key by its name in selenium's ``Keys``, such as ``TAB``."""
        keys, code = ActionChains(self._driver), getattr(Keys, key)
        if shift:
            keys.key_down(Keys.SHIFT).send_keys(code).key_up(Keys.SHIFT).perform()
        else:
            keys.send_keys(code).perform()

    def write(self, text: str) -> None:
        """Types into the element that has the focus."""
        ActionChains(self._driver).send_keys(text).perform()

    def requests(self) -> list[str]:
        """The address of each request so far, blocked ones too."""
        self._read_logs()
        return self._requests

    def complaints(self) -> list[str]:
        """The errors and warnings of the browser and of the page's script so far."""
        self._read_logs()
        return self._complaints

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of each node that assistive technology is given."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def close(self) -> None:
        self._driver.close()
        self._driver.switch_to.window(self._driver.window_handles[0])

    def _read_logs(self) -> None:
        """Reading a log empties it."""
        driver: Any = self._driver  # get_log has no types
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        self._complaints += [entry["message"] for entry in driver.get_log("browser")]


@contextmanager
def running() -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile. It ends with all its processes at the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium", "chromium-browser", "google-chrome")
    driver = find_program("chromedriver")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        for option in (*_OPTIONS, f"--user-data-dir={home}/profile"):
            options.add_argument(option)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        service = webdriver.ChromeService(driver, env={**os.environ, "HOME": home})
        with webdriver.Chrome(options, service) as browser:
            browser.set_script_timeout(_SCRIPT_SECONDS)
            yield browser


def take_image(file: Path, image: Path, width: int, height: int, scheme: str = "light") -> None:
    """Writes what a window of that size shows of a page, as PNG."""
    with running() as browser:
        page = Page(browser)
        page.resize(width, height)
        page.prefer(scheme)
        page.open(file.resolve().as_uri())
        image.write_bytes(browser.get_screenshot_as_png())
