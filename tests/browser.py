"""Debian's chromium without a window, spoken to through a pipe: what it says of a page, and what the page looks like.

The Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/), JSON messages that end in a zero
byte, over descriptors 3 and 4 (``--remote-debugging-pipe``): no port is opened, and nothing is waited for but messages.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pktlab.errors import MachineError
from pktlab.kernel.program import program

DEADLINE = 120.0  # seconds; a loaded machine takes its time to start a browser
_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


class Browser:
    """A running browser with one page."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self._process, self._write, self._read = process, write, read
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    _session = ""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; what else comes meanwhile is kept in `events`."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._read, selectors.EVENT_READ)
            while b"\0" not in self._buffer:
                assert waiting.select(deadline - time.monotonic()), "the browser says nothing"
                piece = os.read(self._read, 1 << 20)
                assert piece, "the browser has ended"
                self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Open a file in a window of this size, and wait until it is loaded; forget what was heard before."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        for address in ("about:blank", file.resolve().as_uri()):
            self.events.clear()
            loader = self.call("Page.navigate", url=address)["loaderId"]
            while not any(_loaded(event, loader) for event in self.events):
                self.events.append(self._next())
        self.call("Runtime.evaluate", expression="1")  # behind it, what the page's own script said has been heard

    def ask(self, expression: str) -> Any:
        """Return what a JavaScript expression comes to in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """What was written to the console, and what was thrown."""
        heard = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in heard]

    def requests(self) -> list[str]:
        """The addresses that were asked for, the page's own first."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen as PNG; `whole` has all of the page, not only what the window shows."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))


def _loaded(event: dict[str, Any], loader: str) -> bool:
    """Whether this tells that the page of this navigation is there, and not an earlier one."""
    params = event.get("params", {})
    told = event.get("method") == "Page.lifecycleEvent"
    return told and params.get("name") == "load" and params.get("loaderId") == loader


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with its profile in `folder`, and end it; skips the test where chromium is not installed."""
    try:
        path = program("chromium")
    except MachineError as error:
        pytest.skip(str(error))
    commands, command = os.pipe()
    answer, answers = os.pipe()
    # Out of the way of the numbers at which the browser looks for them.
    low, high = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers))

    def place() -> None:
        os.dup2(low, 3)
        os.dup2(high, 4)

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [path, *_FLAGS, *sandbox, f"--user-data-dir={folder}"],
        pass_fds=(3, 4),
        preexec_fn=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"HOME": str(folder)},
    )
    for end in (commands, answers, low, high):
        os.close(end)
    try:
        yield Browser(process, command, answer)
    finally:
        os.close(command)
        os.close(answer)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE)
