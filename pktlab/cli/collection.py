"""A pytest plugin that says in one line why a lab could not be imported, in this process or in a worker of xdist.

pytest reports such a fault as a traceback in text. The exception itself is only known where the import failed, so
its line is attached to the report there.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pktlab.fault import describe

SECTION = "pktlab: why"


def pytest_collection_finish() -> None:
    """What was imported until now stays: from here on garbage is looked for in what the acts leave behind."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Attach the fault of a file that cannot be imported to the report about it."""
    try:
        report = yield
    except SystemExit as error:  # which pytest would take for its own end
        why = _why(error, collector.path)
        return pytest.CollectReport(collector.nodeid, "failed", why, [], [(SECTION, why)])
    call: Any = getattr(report, "call", None)
    if report.failed and call is not None and call.excinfo is not None:
        report.sections.append((SECTION, _why(call.excinfo.value, collector.path)))
    return report


def _why(error: BaseException, path: Path) -> str:
    # pytest wraps an ImportError in an error of its own, with the text of the traceback.
    while isinstance(error, pytest.Collector.CollectError) and error.__cause__ is not None:
        error = error.__cause__
    return describe(error, path)
