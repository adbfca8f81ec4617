"""Headless Chromium for tests of pages, driven by its DevTools protocol over a pair of pipes.

No port is opened, and the browser finds no host but 127.0.0.1. It ends by itself when its pipes are
closed, whatever becomes of the test. Needs the package ``chromium`` of Debian and nothing else."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60.0
"""The longest that anything asked of the browser may take."""
_END_SECONDS = 10.0
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)
# The protocol's pipes are the descriptors 3 and 4, which a child of subprocess cannot be given.
_LAUNCHER = "import os, sys; os.dup2({}, 3); os.dup2({}, 4); os.execv(sys.argv[1], sys.argv[1:])"
_FIRST_FREE_DESCRIPTOR = 10
_KEYS = {"Tab": 9, "Enter": 13, "Delete": 46}
"""The codes of the keys that can be pressed."""


def find_chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running browser. Requests and events are JSON, each ended by a null byte."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, answers: int) -> None:
        self.process = process
        self._to = to
        self._answers = answers
        self._buffer = b""
        self._last_id = 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """What the browser answers to ``method``; RuntimeError where it refuses."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._send(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while (answer := self._receive(deadline)).get("id") != message["id"]:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event, told already or to come, that is wanted."""
        for event in self._events:
            if is_wanted(event):
                return event
        deadline = time.monotonic() + SECONDS
        while True:
            event = self._receive(deadline)
            self._events.append(event)
            if is_wanted(event):
                return event

    def events(self, method: str, session: str) -> list[dict[str, Any]]:
        """The params of all events of that kind that were told so far."""
        return [
            event["params"]
            for event in self._events
            if event.get("method") == method and event.get("sessionId") == session
        ]

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._to, data) :]

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            remaining = max(0.0, deadline - time.monotonic())
            if not select.select([self._answers], [], [], remaining)[0]:
                raise TimeoutError("the browser did not answer in time")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise EOFError("the browser has ended")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        received: dict[str, Any] = json.loads(message)
        return received


class Page:
    """One tab with one address open."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")
        self._target = target["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def open(self, address: str) -> None:
        """Returns when the page has loaded and was painted."""
        self.call("Page.navigate", url=address)
        self._browser.wait_for(
            lambda event: (
                event.get("sessionId") == self._session
                and event.get("method") == "Page.loadEventFired"
            )
        )
        self.painted()

    def painted(self) -> None:
        """Waits until what was changed is on the screen."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, of a promise what comes of it."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def prefer(self, scheme: str = "light", media: str = "screen") -> None:
        """Has the page seen in the ``light`` or ``dark`` scheme, on ``screen`` or in ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def without_scripts(self) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Presses and releases ``Tab``, ``Enter`` or ``Delete``."""
        text = {"text": "\r"} if key == "Enter" else {}
        pressed = {"key": key, "windowsVirtualKeyCode": _KEYS[key], "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **pressed, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def write(self, text: str) -> None:
        """Writes into what has the focus, as typing does."""
        self.call("Input.insertText", text=text)

    def requests(self) -> list[str]:
        """The address of each request that was made, blocked ones too."""
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """What the browser and the page's script have told of errors and warnings."""
        told = [event["entry"]["text"] for event in self._events("Log.entryAdded")]
        thrown = self._events("Runtime.exceptionThrown")
        return told + [event["exceptionDetails"]["text"] for event in thrown]

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of each node that assistive technology is told of."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def screenshot(self) -> bytes:
        """A PNG image of what is in view."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _events(self, method: str) -> list[dict[str, Any]]:
        return self._browser.events(method, self._session)


@contextmanager
def running(chromium: str) -> Iterator[Browser]:
    """A browser with an empty profile; at the end it is gone, with all that it started."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        theirs_in, to = _pipe()
        answers, theirs_out = _pipe()
        options = [*_OPTIONS, f"--user-data-dir={folder}/profile"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        launcher = _LAUNCHER.format(theirs_in, theirs_out)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", launcher, chromium, *options, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(process, to, answers)
        finally:
            os.close(to)
            os.close(answers)
            _end(process)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends do not stand where the browser expects its own."""
    low = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_DESCRIPTOR) for end in low]
    for end in low:
        os.close(end)
    return ends[0], ends[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        # The group is the browser's own, since it began a session.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def take_image(file: Path, image: Path, width: int, height: int, scheme: str = "light") -> int:
    """Writes what a window of that size shows of a page, as PNG; 1 where there is no Chromium."""
    chromium = find_chromium()
    if chromium is None:
        print("no Chromium was found: apt-get install chromium", file=sys.stderr)
        return 1
    with running(chromium) as browser:
        page = Page(browser)
        page.resize(width, height)
        page.prefer(scheme)
        page.open(file.resolve().as_uri())
        image.write_bytes(page.screenshot())
    return 0
