"""Where the acts of a guided lab are run: pytest collects them, and each runs when the learner has come to it.

An act is run twice: rehearsed in silence, to learn what it asks, and performed once the learner has answered. Then its
sandbox is held at its end, with the network still up, until the caller lets go of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from pktlab import pytest_plugin
from pktlab.act import PROPERTY, ActRecord, Observation, Packet
from pktlab.cli import collection
from pktlab.cli.session import drive, selection
from pktlab.errors import DeadlineExceeded, LabError, PktlabError
from pktlab.frame import Frame
from pktlab.frames.words import words
from pktlab.kernel import sandbox, tables
from pktlab.labfile import LabFile
from pktlab.learn import scene
from pktlab.learn.grading import Sighting
from pktlab.learn.question import Spot
from pktlab.outcome import Run
from pktlab.topology import Topology
from pktlab.transcript import packet_words

if TYPE_CHECKING:
    from pktlab.network import Network

# Of so many frames of an observation the learner may be told.
_TOLD = 200
_ATTEMPTS = 3
# A value of so many characters can be shown beside a question.
_SHOWN = 60
_HOLD = pytest.StashKey[Callable[[Run, list[Spot], bool], None]]()


@dataclass(frozen=True, slots=True)
class Performance:
    """An act that ran: its record; of each observation, where it was made and the frames that it is about.

    `ok` is false where the act failed before its end.
    """

    record: ActRecord
    spots: list[Spot] = field(default_factory=list)
    sightings: list[list[Sighting]] = field(default_factory=list)
    ok: bool = True


class Held:
    """An act at its end, its network still up."""

    def __init__(self, performance: Performance, order: Callable[[str], bool]) -> None:
        self.performance = performance
        self._order = order

    def shell(self, netns: str) -> bool:
        """Have a shell in a namespace at this terminal until it is left; false if none could be started."""
        try:
            return self._order(netns)
        finally:
            _take_back_terminal()


class Stage:
    """The acts of a lab, collected and ready to run; `topology` is what the lab declares, if it declares it itself."""

    def __init__(self, lab: LabFile, items: Sequence[pytest.Item]) -> None:
        self.lab = lab
        self.items = list(items)
        module: Any = self.items[0].getparent(pytest.Module)
        topology = getattr(module.obj, "topology", None)
        self.topology = topology if isinstance(topology, Topology) else None
        self._prepared = False

    @property
    def names(self) -> list[str]:
        """The acts in their order; a parametrized one has one for each case."""
        return [item.name for item in self.items]

    def parameters(self, number: int) -> dict[str, Any]:
        """The values that an act is run with, by name."""
        spec = getattr(self.items[number], "callspec", None)
        return dict(spec.params) if spec is not None else {}

    def rehearse(self, number: int) -> Performance:
        """Run an act in silence, up to its end; one that does not come to it fails."""
        deadline = self.items[number].config.getoption("pktlab_deadline")
        try:
            return self._patiently(number, lambda held: None, deadline)
        except DeadlineExceeded as error:
            record = ActRecord(self.lab.name, self.items[number].name, status="failed", reason=error.message)
            return Performance(record)

    def perform(self, number: int, attend: Callable[[Held], None]) -> Performance:
        """Run an act; `attend` is called at its end, before its network goes."""
        return self._patiently(number, attend, None)

    def _patiently(self, number: int, attend: Callable[[Held], None], deadline: float | None) -> Performance:
        """Run an act again where frames were lost, which says nothing of the lab."""
        attended = []

        def once(held: Held) -> None:
            attended.append(held)
            attend(held)

        for _attempt in range(_ATTEMPTS):
            performance = self._run(number, once, deadline)
            if attended or performance.record.status != "inconclusive":
                break
        return performance

    def _run(self, number: int, attend: Callable[[Held], None], deadline: float | None) -> Performance:
        item = self.items[number]
        if not self._prepared:
            pytest_plugin.prepare(item)
            self._prepared = True
        orders, ordering = os.pipe()
        held: Performance | None = None
        record: ActRecord | None = None
        try:
            with sandbox.Child(_work(item, orders, ordering)) as child:
                os.close(orders)
                orders = -1
                messages = child.messages(deadline)

                def order(netns: str) -> bool:
                    os.write(ordering, f"{netns}\n".encode())
                    return bool(next(messages, False))

                for message in messages:
                    if isinstance(message, Performance):
                        held = message
                        if held.ok:
                            attend(Held(held, order))
                        os.write(ordering, b"\n")
                    else:
                        record = _record(item, message) or record
                child.wait()
        finally:
            for descriptor in (orders, ordering):
                if descriptor >= 0:
                    os.close(descriptor)
        if record is None:
            record = ActRecord(self.lab.name, item.name, status="failed", reason="its process ended without a report")
        return Performance(record, held.spots, held.sightings) if held else Performance(record)


def _work(item: pytest.Item, orders: int, ordering: int) -> Callable[[Callable[[Any], None]], None]:
    def work(send: Callable[[Any], None]) -> None:
        os.close(ordering)

        def hold(run: Run, spots: list[Spot], ok: bool) -> None:
            send(Performance(run.record, spots, _sightings(run), ok))
            with os.fdopen(orders, "rb", buffering=0) as stream:
                while netns := stream.readline().decode().strip():
                    send(_shell(run, netns))

        item.stash[_HOLD] = hold
        item.stash[pytest_plugin.SEND] = send
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    return work


def _record(item: pytest.Item, message: list[Any]) -> ActRecord | None:
    for data in message:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        sent: Any = dict(report.user_properties).get(PROPERTY)
        if sent is not None:
            return ActRecord.from_json(sent)
    return None


def _sightings(run: Run) -> list[list[Sighting]]:
    """The frames that each observation is about, in words."""
    assert run.network is not None
    recording = run.network.recording
    began = recording.frames[0].time if len(recording.frames) else 0
    found = []
    for observation in recording.observations:
        frames = [recording.frames[number - 1] for number in observation.frames[:_TOLD]]
        found.append(
            [
                Sighting(
                    frame.number,
                    str(frame.interface),
                    frame.direction,
                    (frame.time - began) / 1e9,
                    _words(frame, recording.vxlan_ports),
                )
                for frame in frames
            ]
        )
    return found


def _words(frame: Frame, vxlan_ports: frozenset[int]) -> str:
    return packet_words(Packet(frame.number, 0.0, words(frame.data, vxlan_ports=vxlan_ports), [], []))


def _shell(run: Run, netns: str) -> bool:
    """Run a shell in a namespace at the caller's terminal, until it is left."""
    from pktlab.kernel.program import environment

    assert run.network is not None
    place = run.network._testbed.namespaces[netns]
    bash = Path("/bin/bash")
    argv = [str(bash), "--norc", "--noprofile", "-i"] if bash.exists() else ["/bin/sh", "-i"]
    # Ctrl-C is for what the shell runs. It must be caught here, for what is ignored is inherited.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with place.entered():
            prompt = {"PS1": f"{netns}# ", "HISTFILE": ""}
            process = subprocess.Popen(argv, env={**environment(), **prompt}, restore_signals=True)
        process.wait()
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)
    return True


def _take_back_terminal() -> None:
    """A shell makes its own process group the terminal's, and cannot give it back to one that it does not see."""
    if not sys.stdin.isatty():
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    except OSError:
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Plugin:
    """Hears what was collected, and holds an act at its end."""

    def __init__(self, lab: LabFile, play: Callable[[Stage], None]) -> None:
        self._lab = lab
        self._play = play
        self.interrupted = False
        self.error: BaseException | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why the lab cannot be run."""
        if report.failed and self.error is None:
            why = dict(report.sections).get(collection.SECTION, report.longreprtext.strip().splitlines()[-1:][0])
            self.error = LabError(why)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Play the lab instead of running its tests."""
        if self.error is None and session.items:
            try:
                self._play(Stage(self._lab, session.items))
            except KeyboardInterrupt:
                self.interrupted = True
            except (PktlabError, OSError) as error:
                self.error = error
        return True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note Ctrl-C."""
        self.interrupted = True

    def pytest_internalerror(self, excrepr: object) -> bool:
        """Keep the text of a fault in pytest itself, and keep it off the terminal."""
        self.error = self.error or PktlabError(f"pytest broke down: {str(excrepr).strip().splitlines()[-1]}")
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """In the sandbox, around the act and its conclusion: note where it asks, and hold it at its end."""
        run, hold = pyfuncitem.stash.get(pytest_plugin.RUN, None), pyfuncitem.stash.get(_HOLD, None)
        if run is None or run.network is None or hold is None:
            return (yield)
        spots = _note_spots(run, pyfuncitem)
        try:
            result = yield
        except BaseException:
            hold(run, spots, False)
            raise
        hold(run, spots, True)
        return result


def _note_spots(run: Run, item: pytest.Function) -> list[Spot]:
    """From now on, note where in the act each observation is made; return the list."""
    assert run.network is not None
    network, recording = run.network, run.network.recording
    observe, forget = recording.observe, recording.forget
    function = item.obj
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    loops = scene.loops(item.path, item.name)
    spots: list[Spot] = []

    def noting(*args: Any, **kwargs: Any) -> None:
        # Where an act asks within a function or a comprehension, its own frame is further out.
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        observe(*args, **kwargs)
        owners = _owners(network, recording.observations[-1])
        spots.append(replace(_spot(frame, loops), owners=owners))

    def forgetting(kept: int) -> None:
        del spots[kept:]
        forget(kept)

    recording.observe, recording.forget = noting, forgetting  # type: ignore[method-assign]
    return spots


def _owners(network: Network, observation: Observation) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Which interfaces have the MAC of a neighbour that was looked at, now."""
    if not observation.question.startswith("neighbours of ") or len(observation.answer) != 1:
        return ()
    mac = observation.answer[0]["mac"]
    found = [
        f"{netns}/{link.name}"
        for netns, netlink in network._testbed.netlinks.items()
        for link in tables.links(netlink)
        if mac and link.mac == mac
    ]
    return ((mac, tuple(found)),)


def _spot(frame: FrameType | None, loops: Sequence[scene.Loop]) -> Spot:
    if frame is None:
        return Spot()
    line = frame.f_lineno
    names = [name for loop in loops if loop.first <= line <= loop.last for name in loop.names]
    values = {name: repr(frame.f_locals[name]) for name in names if name in frame.f_locals}
    return Spot(line, tuple((name, text) for name, text in values.items() if len(text) <= _SHOWN))


def play(lab: LabFile, act: Callable[[Stage], None], *, keyword: str = "") -> bool:
    """Collect the acts of a lab and hand them to `act`; return false if that was interrupted.

    Raises SandboxError where this machine runs no labs, LabError for a lab that cannot be run, and what `act` raises.
    """
    sandbox.available()
    plugin = _Plugin(lab, act)
    status, said = drive([lab], [*selection([lab], keyword), "--capture=no", "--tb=short"], plugin)
    if plugin.error is not None:
        raise plugin.error
    if status == pytest.ExitCode.USAGE_ERROR:
        raise PktlabError(said, remedy="see `pktlab learn --help`")
    return not plugin.interrupted
