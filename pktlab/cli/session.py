"""Runs labs: drives pytest in this process, and hears from it what became of each act."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pktlab.act import PROPERTY, ActRecord
from pktlab.cli import collection
from pktlab.cli.failure import brief
from pktlab.cli.screen import Progress
from pktlab.errors import PktlabError
from pktlab.labfile import LabFile
from pktlab.report import LabResult

Tell = Callable[[LabFile, ActRecord, str], None]

# Plugins of pytest that serve options which are not given here, or tell of what is not told here: they need not load.
_UNUSED = (
    "cacheprovider",
    "doctest",
    "faulthandler",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "threadexception",
    "unraisableexception",
)
_PHASES = ("setup", "call", "teardown")


@dataclass(slots=True)
class Outcome:
    """What a run came to: a result for each lab that has any, whether Ctrl-C or a closed
    pipe ended it, and how many acts were not run."""

    labs: list[LabResult]
    interrupted: bool = False
    pipe_closed: bool = False
    unrun: int = 0


def run(
    labs: Sequence[LabFile],
    *,
    captures: Path,
    keyword: str = "",
    jobs: int = 1,
    markers: bool = False,
    verbose: bool = False,
    tell: Tell,
    progress: Progress,
) -> Outcome:
    """Run the acts of `labs` that match `keyword`, and tell each in the order in which it is declared.

    Raises PktlabError for a keyword that pytest cannot read and for a fault of pytest itself.
    """
    listener = Listener(labs, tell, progress, verbose=verbose)
    arguments = [
        *selection(labs, keyword),
        f"--pktlab-captures={captures}",
        *(("--pktlab-markers",) if markers else ()),
        *(("-p", "xdist", "-n", str(jobs)) if jobs > 1 else ()),
    ]
    status, said = drive(labs, arguments, listener)
    if listener.interrupted:
        # What is left to do is to tell the results so far; it takes no time, and nobody wants half of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    progress.clear()
    listener.finish()
    if listener.unwritable:
        raise listener.unwritable
    if status == pytest.ExitCode.USAGE_ERROR:
        raise PktlabError(said, remedy="see `pktlab run --help`")
    if listener.internal_error:
        text = listener.internal_error if verbose else listener.internal_error.strip().splitlines()[-1]
        raise PktlabError(f"pytest broke down: {text}", remedy="" if verbose else "--verbose shows all of it")
    unrun = len(set(listener.order) - set(listener.done))
    return Outcome(listener.results(), listener.interrupted, listener.pipe_closed, unrun)


def drive(labs: Sequence[LabFile], arguments: Sequence[str], plugin: Any) -> tuple[int, str]:
    """Run pytest in this process; return its exit status and what it said of wrong use.

    `plugin` has an attribute `interrupted`, which is set where pytest itself is interrupted.
    """
    # Plugins and options of the user's own projects have no business here, nor in the workers, who inherit this.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    # Behind everything else: a module beside a lab can be imported, but never stands in for an installed one.
    sys.path.extend(sorted({str(lab.path.resolve().parent) for lab in labs} - set(sys.path)))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            status: int = pytest.main(list(arguments), plugins=[plugin])
        except KeyboardInterrupt:  # a second Ctrl-C, while pytest was busy with the first
            status = pytest.ExitCode.INTERRUPTED
            plugin.interrupted = True
    return status, said.getvalue().strip().removeprefix("ERROR: ")


def selection(labs: Sequence[LabFile], keyword: str) -> list[str]:
    """Return pytest's arguments for the acts of `labs` that match `keyword`."""
    paths = [str(lab.path.resolve()) for lab in labs]
    return [
        *("-c", str(Path(__file__).with_name("pytest.ini"))),
        # Node ids become absolute paths, and modules get names that no other module has.
        "--rootdir=/",
        f"--confcutdir={os.path.commonpath([os.path.dirname(path) for path in paths])}",
        "--noconftest",
        "--import-mode=importlib",
        "--continue-on-collection-errors",
        # The reporter alone: without the whole plugin pytest would lack options that others rely on.
        *("-p", "no:terminalreporter"),
        *(part for name in _UNUSED for part in ("-p", f"no:{name}")),
        *("-p", "pktlab.pytest_plugin", "-p", collection.__name__),
        *(("-k", keyword) if keyword else ()),
        *paths,
    ]


@dataclass(slots=True)
class _Act:
    """An act while its reports come in."""

    record: ActRecord
    detail: str = ""


@dataclass(slots=True)
class Listener:
    """The pytest plugin that hears of every act."""

    labs: Sequence[LabFile]
    tell: Tell
    progress: Progress
    verbose: bool = False
    interrupted: bool = False
    pipe_closed: bool = False
    unwritable: OSError | None = None
    internal_error: str = ""
    faults: dict[Path, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    running: dict[str, _Act] = field(default_factory=dict)
    done: dict[str, _Act] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, to be able to stop it."""
        self.session = session

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a lab cannot be run; every worker reports the same."""
        if report.failed:
            why = dict(report.sections).get(collection.SECTION, report.longreprtext.strip().splitlines()[-1:][0])
            path = Path("/") / report.nodeid.partition("::")[0]
            self.faults[path] = f"{why}\n{report.longreprtext}" if self.verbose else why

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the order of the acts, as they are declared."""
        self.order = self.order or [item.nodeid for item in session.items]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note the order of the acts, which only the workers know."""
        self.order = self.order or list(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which act is being run."""
        lab = self._lab(nodeid)
        done = f"{len(self.done) + 1}/{len(self.order)} " if self.order else ""
        self.progress.show(f"{done}{lab.name}: {nodeid.partition('::')[2]}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in the report of a phase; behind the last one the act is told."""
        act = self.running.get(report.nodeid) or self.running.setdefault(report.nodeid, self._new(report.nodeid))
        sent: Any = dict(report.user_properties).get(PROPERTY)
        if sent is not None:
            act.record = ActRecord.from_json(sent)
        if report.failed:
            act.detail = act.detail or self._detail(report)
            if act.record.status not in ("failed", "inconclusive"):
                act.record.status = "failed"
            act.record.reason = act.record.reason or act.detail.partition("\n")[0]
        elif report.skipped and not act.record.status:
            act.record.status = "skipped"
            act.record.reason = act.record.reason or _skipped(report)
        if report.when not in _PHASES[:-1]:  # or a worker that crashed, whose report has no phase
            self._done(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell an act whose process did not live to send the report of its last phase."""
        if nodeid in self.running:
            self._done(nodeid)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from pytest's own reasons to stop, which it calls interruptions as well."""
        self.interrupted = self.interrupted or excinfo.type is KeyboardInterrupt

    def pytest_internalerror(self, excrepr: object) -> bool:
        """Keep the text of a fault in pytest itself, and keep it off the terminal."""
        self.internal_error = str(excrepr)
        return True

    def finish(self) -> None:
        """Tell the acts that still wait for one before them which never ended."""
        for nodeid in [nodeid for nodeid in [*self.order, *self.done] if nodeid in self.done]:
            self._tell(nodeid)

    def results(self) -> list[LabResult]:
        """Return what is known, in the order of labs and acts."""
        found = {self._path(lab): LabResult(lab.name, lab.title) for lab in self.labs}
        for path, fault in self.faults.items():
            if path in found:
                found[path].fault = fault
        for nodeid in self.told:
            found[self._path(self._lab(nodeid))].acts.append(self.done[nodeid].record)
        return [result for result in found.values() if result.acts or result.fault]

    def _new(self, nodeid: str) -> _Act:
        lab = self._lab(nodeid)
        name = nodeid.partition("::")[2]
        title = next((act.title for act in lab.acts if act.name == name.partition("[")[0]), "")
        return _Act(ActRecord(lab=lab.name, name=name, title=title))

    def _detail(self, report: pytest.TestReport) -> str:
        return report.longreprtext if self.verbose else brief(report, self._path(self._lab(report.nodeid)))

    def _done(self, nodeid: str) -> None:
        act = self.running.pop(nodeid)
        act.record.status = act.record.status or "passed"
        self.done[nodeid] = act
        while len(self.told) < len(self.order) and self.order[len(self.told)] in self.done:
            self._tell(self.order[len(self.told)])

    def _tell(self, nodeid: str) -> None:
        if nodeid in self.told:
            return
        self.told.append(nodeid)
        if self.pipe_closed:
            return
        self.progress.clear()
        try:
            self.tell(self._lab(nodeid), self.done[nodeid].record, self.done[nodeid].detail)
        except BrokenPipeError:
            self.pipe_closed = True
            if self.session:
                self.session.shouldstop = "nobody reads the results any more"
        except OSError as error:
            self.unwritable = self.unwritable or error
            if self.session:
                self.session.shouldstop = "the results cannot be written"

    def _lab(self, nodeid: str) -> LabFile:
        path = Path("/") / nodeid.partition("::")[0]
        return next(lab for lab in self.labs if self._path(lab) == path)

    @staticmethod
    def _path(lab: LabFile) -> Path:
        return lab.path.resolve()


def _skipped(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "")) or report.longreprtext
