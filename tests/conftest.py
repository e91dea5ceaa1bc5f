"""Shared by all tests: pytester, and the rule that in CI nothing is skipped for want of a package."""

from __future__ import annotations

import os
import signal

import pytest

pytest_plugins = ["pytester"]

# A shell starts what runs in its background with Ctrl-C ignored, and so everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_wanting: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "apt-get install" in str(report.longrepr):
        _wanting.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _wanting and os.environ.get("CI"):
        print("\nskipped for want of a package, which must not be in CI:", *_wanting, sep="\n  ")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
