"""Shared by all tests: pytester, one run of all labs, and the rule that in CI nothing is skipped for want of a
package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

# A shell starts what runs in its background with Ctrl-C ignored, and so everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup(1)

_wanting: list[str] = []


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One run of all labs: its JSON, and the folder of its captures."""
    captures = tmp_path_factory.mktemp("captures")
    results = tmp_path_factory.mktemp("results") / "results.json"
    words = ["run", "--all", "--captures", str(captures), "--json", str(results)]
    done = subprocess.run(
        [sys.executable, "-m", "pktlab", *words], capture_output=True, text=True, timeout=400, check=False
    )
    # Last it names what failed.
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(results.read_text()), captures


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "apt-get install" in str(report.longrepr):
        _wanting.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _wanting and os.environ.get("CI"):
        print("\nskipped for want of a package, which must not be in CI:", *_wanting, sep="\n  ")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
