"""From an act's run to its record: verdict, reason, capture file, and the text of a failed path."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

from pktlab import __version__
from pktlab.act import PROPERTY, ActRecord
from pktlab.errors import Inconclusive, MachineError, PktlabError
from pktlab.evidence import ASKED, ranges
from pktlab.frames.path import Path, first_difference
from pktlab.interface import Interface
from pktlab.topology import settings

if TYPE_CHECKING:
    from pktlab.network import Network

__all__ = ["PROPERTY", "Run", "is_path", "path_report"]

_current: Run | None = None


def current() -> Run | None:
    """Return the act that runs in this process, if one does."""
    return _current


class Run:
    """One act while it runs in its sandbox. `network` is None until the network is up.

    Without `writes` no capture is written, not even that of an act that failed, and no packet is told in words: one
    of thousands of runs, of which only the outcome counts.
    """

    def __init__(self, item: pytest.Item, capture_file: Callable[[], File], *, writes: bool = True) -> None:
        global _current
        _current = self
        function = getattr(item, "function", None)
        title = (getattr(function, "__doc__", None) or "").strip().partition("\n")[0]
        claims = [dict(claim) for claim in getattr(function, "__pktlab_claims__", ())]
        self.record = ActRecord(lab=item.path.stem, name=item.name, title=title, claims=claims)
        self.network: Network | None = None
        self._item = item
        self._capture_file = capture_file
        self._file: File | None = None
        self._wanted = bool(item.config.getoption("pktlab_captures"))
        self._inconclusive = ""
        self._finished = False
        self.writes = writes

    @property
    def file(self) -> File:
        """Where the capture is or will be."""
        if self._file is None:
            self._file = self._capture_file()
        return self._file

    @contextlib.contextmanager
    def skips(self) -> Iterator[None]:
        """Turn what this machine lacks into a skip that names it and the remedy."""
        try:
            yield
        except MachineError as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from error

    @contextlib.contextmanager
    def concluding(self) -> Iterator[None]:
        """Run the act, then take in the last frames, look for lost ones, and write the capture.

        Lost frames make it inconclusive whatever else came out: a failure may be due to a frame that was not seen.
        """
        failure: BaseException | None = None
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            failure = error
        failure = self._finish(failure)
        if failure is not None:
            raise failure

    def _finish(self, failure: BaseException | None) -> BaseException | None:
        assert self.network is not None
        self._finished = True
        skipped = isinstance(failure, pytest.skip.Exception | MachineError)
        try:
            self.network.finish()
            self.network.check_losses()
        except PktlabError as error:
            # A network that does not fall silent is only worth telling if the act did not fail by itself.
            if failure is None or isinstance(error, Inconclusive):
                failure = error
        if isinstance(failure, Inconclusive):
            self._inconclusive = failure.message
        try:
            failed = failure is not None and not skipped
            self._conclude(keep=self.writes and (self._wanted or failed))
            if self.writes:
                self._keep_log(self.network.logs if failed else "")
        except PktlabError as error:
            failure = failure or error
        return failure

    def close(self) -> None:
        """Before the network goes: conclude if the test was no plain function, and look for losses once more."""
        assert self.network is not None
        if not self._finished:
            failure = self._finish(None)
            if failure is not None:
                raise failure
        try:
            self.network.check_losses()
        except Inconclusive as error:
            self._inconclusive = error.message
            self.record.capture.dropped = sum(self.network.losses().values())

    def _conclude(self, *, keep: bool) -> None:
        network = self.network
        assert network is not None
        recording, lost = network.recording, network.losses()
        self.record.bring_up = network.bring_up
        self.record.observations = recording.observations
        if self.writes:
            self.record.packets = recording.packets()
            self.record.story = recording.story()
            self.record.untold = recording.untold
        self.record.capture = recording.captured("", network.interfaces, lost)
        if keep:
            asked = [ASKED + ranges(self.record.evidence)] if self.record.evidence else []
            recording.write(
                str(self.file),
                network.interfaces,
                dropped=lost,
                names={
                    setting.ip: str(setting.device)
                    for setting in network.topology.settings
                    if isinstance(setting, settings.Address)
                },
                comment="\n".join([f"{self.record.lab}: {self.record.title or self.record.name}", *asked]),
                application=f"pktlab {__version__}",
                markers=bool(self._item.config.getoption("pktlab_markers")),
            )
            self.record.capture.file = str(self.file)

    def _keep_log(self, logs: str) -> None:
        """Write what the programs wrote beside the capture; without any, take away what an earlier run left there."""
        if not logs and self._file is None:
            return
        file = self.file.with_suffix(".log")
        with contextlib.suppress(OSError):  # where the capture itself could not be written, that has been said
            if not logs:
                file.unlink(missing_ok=True)
                return
            file.write_text(logs, encoding="utf-8")
            self.record.log = str(file)

    def finish(self, phases: Sequence[pytest.TestReport], every: Sequence[pytest.TestReport], seconds: float) -> None:
        """Complete the record by the outcome of all phases, and hand it to the report that decides.

        `every` has the reports of subtests too: one that failed fails the act.
        """
        record = self.record
        record.seconds = seconds
        call = next((report for report in phases if report.when == "call"), phases[-1])
        if self._inconclusive and not call.failed:
            # Passed, skipped or expected to fail: with frames lost, none of that is known.
            call.outcome, call.longrepr = "failed", self._inconclusive
            vars(call).pop("wasxfail", None)
        failed_subtest = next((report for report in every if report.failed and report not in phases), None)
        if failed_subtest is not None and call.passed:
            call.outcome, call.longrepr = "failed", f"a subtest failed: {_reason(failed_subtest)}"
        decisive = next((r for r in phases if r.failed), None) or next((r for r in phases if r.skipped), None)
        if decisive is None:
            record.status, decisive = "passed", call
        elif decisive.failed:
            record.status = "inconclusive" if self._inconclusive else "failed"
            record.reason = self._inconclusive or _reason(decisive)
        else:
            record.status = "skipped"
            record.reason = _why_skipped(decisive)
        decisive.user_properties.append((PROPERTY, record.as_json()))


def _why_skipped(report: pytest.TestReport) -> str:
    if expected := getattr(report, "wasxfail", None):
        return f"expected to fail: {str(expected).removeprefix('reason: ')}"
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _reason(report: pytest.TestReport) -> str:
    """The first line of what went wrong, without pytest's own markers."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "") or report.longreprtext)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "failed")
    return first.removeprefix("pktlab.errors.")


def is_path(value: object) -> TypeGuard[Path]:
    """Tell whether a value is the answer of ``seen.path()``."""
    return isinstance(value, Path)


def path_report(path: Path, expected: Sequence[Any]) -> list[str]:
    """Say why a path is not the expected one, in lines for pytest."""
    run = _current
    ports = run.network.recording.vxlan_ports if run and run.network else None
    wrong = [each for each in expected if not isinstance(each, Interface)]
    if wrong:
        return [f"path of {path.question}", f"{wrong[0]!r} is not an interface: a path is a list of declared objects"]
    head = f"path of {path.question or 'the packet'}: {path or 'seen nowhere'}"
    if run is not None and not run.writes:
        return [head]
    text = first_difference(
        path, list(expected), path.interfaces, **({"vxlan_ports": ports} if ports is not None else {})
    )
    lines = [head, *text.splitlines()]
    if path.note:
        lines.insert(2, path.note)
    if run is not None and run.network is not None:
        numbers = ", ".join(str(frame.number) for frame in path.sightings)
        lines += ["", f"{run.file}" + (f": frames {numbers}" if numbers else "")]
    return lines
