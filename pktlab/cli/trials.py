"""Runs acts many times over, each time on another change of their topology: the engine of `ablate` and `sweep`.

pytest collects the labs once, in this process. Then every trial is a fork of it in a sandbox of its own, several side
by side: an act mostly waits, so more of them run at a time than there are processors.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pktlab import pytest_plugin
from pktlab.act import PROPERTY, ActRecord
from pktlab.cli import collection
from pktlab.cli.failure import brief
from pktlab.cli.screen import Progress
from pktlab.cli.session import drive, selection
from pktlab.cli.status import interrupted
from pktlab.errors import LabError, PktlabError
from pktlab.kernel import pool
from pktlab.labfile import LabFile
from pktlab.topology import Topology

# Acts at a time on each processor: an act takes it for a third of its time or less.
_PLACES = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """One act on one change of its topology; `change` has a meaning for who planned it."""

    lab: LabFile
    act: str
    change: int
    apply: Callable[[Topology], Topology]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a trial; `detail` is the failure in a few lines, beginning with its place in the lab."""

    trial: Trial
    record: ActRecord
    detail: str = ""


# From a lab, its declared topology and the names of its acts to the trials; raises PktlabError for wrong use.
Plan = Callable[[LabFile, Topology, Sequence[str]], Sequence[Trial]]


@dataclass(slots=True)
class _Runner:
    """The pytest plugin that plans the trials of what was collected and runs them."""

    labs: Sequence[LabFile]
    plan: Plan
    places: int
    progress: Progress
    prepare: Callable[[Any], None] | None
    tell: Callable[[Result], None]
    interrupted: bool = False
    error: BaseException | None = None
    faults: dict[Path, str] = field(default_factory=dict)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a lab cannot be run."""
        if report.failed:
            why = dict(report.sections).get(collection.SECTION, report.longreprtext.strip().splitlines()[-1:][0])
            self.faults[Path("/") / report.nodeid.partition("::")[0]] = why

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the trials instead of the tests."""
        try:
            if self.faults:
                raise LabError("\n".join(self.faults.values()))
            self._run(session.items)
        except PktlabError as error:
            self.error = error
        except BrokenPipeError as error:
            self.error = error
        return True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note Ctrl-C."""
        self.interrupted = self.interrupted or excinfo.type is KeyboardInterrupt

    def pytest_internalerror(self, excrepr: object) -> bool:
        """Keep the text of a fault in pytest itself, and keep it off the terminal."""
        self.error = self.error or PktlabError(f"pytest broke down: {str(excrepr).strip().splitlines()[-1]}")
        return True

    def _run(self, items: Sequence[pytest.Item]) -> None:
        todo: list[tuple[pytest.Item, Trial]] = []
        for lab in self.labs:
            mine = {item.name: item for item in items if item.path.resolve() == lab.path.resolve()}
            if not mine:
                continue
            module: Any = next(iter(mine.values())).getparent(pytest.Module)
            topology = getattr(module.obj, "topology", None)
            if not isinstance(topology, Topology):
                raise LabError(
                    f"{lab.path} declares no topology at its top", remedy="write `topology = Topology()` there"
                )
            topology.check()
            if self.prepare:
                self.prepare(module.obj)
            todo += [(mine[trial.act], trial) for trial in self.plan(lab, topology, list(mine))]
        if not todo:
            return
        pytest_plugin.prepare(todo[0][0])
        deadline = todo[0][0].config.getoption("pktlab_deadline")
        # Where frames were lost nothing is known: that is done again, with more of the machine for itself.
        todo = self._results(todo, self.places, deadline, patient=True)
        todo = self._results(todo, 1, deadline, patient=True)
        self._results(todo, 1, deadline, patient=False)

    def _results(
        self, todo: Sequence[tuple[pytest.Item, Trial]], places: int, deadline: float, *, patient: bool
    ) -> list[tuple[pytest.Item, Trial]]:
        """Tell the results; if `patient`, return instead of telling them those that are inconclusive."""
        again = []
        running = pool.results([_work(*each) for each in todo], places=places, deadline=deadline)
        try:
            for number, (index, message) in enumerate(running, 1):
                item, trial = todo[index]
                self.progress.show(f"{number}/{len(todo)} {trial.lab.name}: {trial.act}")
                result = _result(item, trial, message)
                if result.record.status == "inconclusive" and patient:
                    again.append((item, trial))
                else:
                    self.tell(result)
        finally:
            running.close()
        return again


def run(
    labs: Sequence[LabFile],
    plan: Plan,
    *,
    keyword: str = "",
    jobs: int = 1,
    tell: Callable[[Result], None],
    prepare: Callable[[Any], None] | None = None,
    command: str,
) -> None:
    """Run the trials that `plan` makes of each lab, and tell each result as it comes.

    `prepare` is given the module of each lab. Raises SandboxError where this machine runs no labs, PktlabError for
    wrong use and a fault of pytest; ends the command after Ctrl-C.
    """
    from pktlab.kernel import sandbox

    progress = Progress()
    progress.show("starting")
    try:
        sandbox.available()
        runner = _Runner(labs, plan, jobs * _PLACES, progress, prepare, tell)
        # Tracebacks are only looked at for their first line and place.
        status, said = drive(labs, [*selection(labs, keyword), "--tb=short"], runner)
        if runner.interrupted:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            progress.clear()
            interrupted()
    finally:
        progress.clear()
    if status == pytest.ExitCode.USAGE_ERROR:
        raise PktlabError(said, remedy=f"see `pktlab {command} --help`")
    if runner.error is not None:
        raise runner.error


def _work(item: pytest.Item, trial: Trial) -> pool.Work:
    def work(send: Callable[[Any], None]) -> None:
        # In the child: the item is that of all other trials as well.
        item.stash[pytest_plugin.CHANGE] = trial.apply
        item.stash[pytest_plugin.SEND] = send
        # By the hook, for what other plugins put around an act, such as the explanation of asserts.
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    return work


def _result(item: pytest.Item, trial: Trial, message: Any) -> Result:
    """Make a record of what the child sent: reports as pytest serializes them, or an exception."""
    record = ActRecord(trial.lab.name, trial.act)
    if not isinstance(message, list):
        if isinstance(message, PktlabError):
            text = message.message
        else:
            text = f"{type(message).__name__}: {message}" if message else "the act's process ended without a report"
        record.status, record.reason = "failed", text
        return Result(trial, record, text)
    detail = ""
    for report in _reports(item, message):
        sent: Any = dict(report.user_properties).get(PROPERTY)
        if sent is not None:
            record = ActRecord.from_json(sent)
        if report.failed:
            detail = detail or brief(report, trial.lab.path.resolve())
    return Result(trial, record, detail or record.reason)


def _reports(item: pytest.Item, message: list[Any]) -> Iterator[pytest.TestReport]:
    for data in message:
        yield item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
