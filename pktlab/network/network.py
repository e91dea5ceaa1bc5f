"""A topology that is up: what an act is given as `net`."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from pktlab.errors import Inconclusive, LabError
from pktlab.frames import craft, dissect
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.live import Begun
from pktlab.interface import Interface
from pktlab.kernel import inject, process, schedule
from pktlab.kernel.icmp import Echo, EchoError, EchoSocket, error_words
from pktlab.kernel.inject import Sent
from pktlab.kernel.process import Completed, Process
from pktlab.kernel.proof import Prover
from pktlab.kernel.tun import Tap
from pktlab.network import completeness
from pktlab.network.answer import Answer
from pktlab.network.changing import Changing
from pktlab.network.feed import Feed, Send, plain
from pktlab.network.recording import Recording
from pktlab.network.seen import Seen, Window
from pktlab.network.testbed import QUEUE, Testbed
from pktlab.topology import Namespace, Topology, check, settings

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Network(Changing):
    """A topology, up and fresh, from entering the `with` block until leaving it; made inside a sandbox.

    `recording` is all that was captured and asked; `bring_up` is how long the network took to come up, in seconds.
    """

    def __init__(self, topology: Topology, *, queue: int = QUEUE, testbed: Testbed | None = None) -> None:
        tunnels = {s.dstport for s in topology.settings if isinstance(s, settings.Vxlan)}
        # Before there are interfaces: Scapy looks at all that it finds when it is imported.
        dissect.bind_vxlan(tunnels)
        testbed = testbed or Testbed(topology, queue=queue)
        super().__init__(testbed, Recording(testbed.recorder.storage, vxlan_ports=VXLAN_PORTS | tunnels))
        self.topology = topology
        self._prover = Prover(testbed.namespaces, testbed.netlinks, testbed.recorder)
        self._far_ends = [s.peer for s in topology.settings if isinstance(s, settings.Veth)]
        self._pings = 0
        self._processes: list[Process] = []
        self._sockets: list[socket.socket] = []

    @property
    def recording(self) -> Recording:
        """The frames, packets and observations so far."""
        return self._recording

    @property
    def bring_up(self) -> float:
        """How long the network took to come up, in seconds."""
        return self._testbed.seconds

    @property
    def interfaces(self) -> list[Interface]:
        """The declared interfaces that exist, in the order of declaration."""
        names = self._testbed.names
        return [d for d in self.topology.devices if d.netns in names and d.index in names[d.netns]]

    def capture(self, *, ring: bool = False) -> Window:
        """Look at the frames between the beginning and the end of a block: ``with net.capture() as seen:``.

        Every interface is seen at once. Both ends wait until nothing is on its way. For some hundred thousand frames
        a second, `ring` makes room for them beforehand (TPACKET_V3), and settling a few milliseconds slower; without
        it, a namespace whose socket's queue is half full gets its ring then. Raises Inconclusive at the end if any
        frame was lost.
        """
        return Window(lambda: self._begin(ring), self._end)

    def use_rings(self) -> None:
        """Let rings capture from now on, as ``net.capture(ring=True)`` does."""
        self._testbed.recorder.use_rings()

    def _begin(self, ring: bool) -> Seen:
        if ring:
            self.use_rings()
        self.settle()
        self._prove(fence=False)
        return Seen(self._recording, self._recording.cut(), self.settle, self.interfaces)

    def _end(self, seen: Seen) -> None:
        self.settle()
        self._prove(fence=True)
        seen._close(self._recording.cut())

    def _prove(self, *, fence: bool) -> None:
        """Send a marker through every interface that can carry one, and record where it was heard."""
        fit, without = completeness.targets(self.interfaces, self._far_ends, self._testbed.names)
        heard, reasons = self._prover.round(list(fit), [(each.netns, each.name) for each in without])
        self._recording.proof.take(
            {fit[target]: time for target, time in heard.items()},
            {fit[target]: why for target, why in reasons.items()} | without,
            fence=fence,
            drained=len(self._recording.frames),
            lost=sum(self.losses().values()),
        )
        markers, self._prover.heard = self._prover.heard, []
        self._recording.proof.markers += completeness.frames(markers, fit)
        self.check_losses()

    def feed(self, send: Send, begun: Begun) -> Feed:
        """Return what hands all frames on to `send` as they come, within its block; `begun` is completed by what is
        declared."""
        begun.interfaces = [plain(each) for each in self.interfaces]
        addresses = (s for s in self.topology.settings if isinstance(s, settings.Address))
        begun.names = {setting.ip: str(setting.device) for setting in addresses}
        begun.vxlan_ports = self._recording.vxlan_ports
        testbed = self._testbed
        return Feed(begun, send, testbed.recorder, self._recording, testbed.namespaces.values(), self._resolve)

    def settle(self) -> int:
        """Return when no frame is on its way and no neighbour is being asked for; the number of frames so far.

        What a running program may yet send is not known here. Raises DeadlineExceeded if the network stays busy.
        """
        self._testbed.settle()
        self._testbed.read_events()
        self._testbed.recorder.index()
        return self._recording.take(self._resolve)

    def _resolve(self, number: int, index: int) -> Interface:
        netns = self._testbed.recorder.names[number]
        name = self._testbed.names[netns].get(index) or self._testbed.gone[netns].get(index, f"if{index}")
        namespace = self.topology.namespaces.get(netns)
        if namespace and name in namespace.devices:
            return namespace.devices[name]
        # An interface keeps its index where it is moved.
        kind = next((each.kind for each in self.topology.devices if each.index == index), "")
        return Interface(netns, name, kind=kind, index=index)

    def losses(self) -> dict[str, int]:
        """Return by namespace how many frames the capture has lost."""
        return self._testbed.recorder.losses()

    def check_losses(self) -> None:
        """Raise Inconclusive, saying how many and where, if frames were lost: by the capture, or on their way."""
        dropped = self._testbed.dropped()
        self._recording.proof.dropped = dropped
        lost = {netns: count for netns, count in self.losses().items() if count}
        full = self._testbed.recorder.storage.full
        told, remedy = [], ""
        if lost:
            where = ", ".join(f"{count} in namespace {netns}" for netns, count in lost.items())
            told.append(f"the capture lost {sum(lost.values())} frames: {where}")
            remedy = "send fewer at once, or make room for them: net.capture(ring=True)"
        if full:
            told.append(str(full))
            remedy = full.remedy
        if dropped:
            where = ", ".join(f"{count} behind {interface}" for interface, count in dropped.items())
            told.append(f"frames were dropped on their way, since the backlog of a processor was full: {where}")
            remedy = remedy or "something sends too much at once: a loop of bridges, or another program on this machine"
        if told:
            raise Inconclusive("; ".join(told), remedy=remedy)

    def ping(
        self,
        dst: str,
        *,
        dev: Interface | None = None,
        ns: Namespace | None = None,
        bind: bool = True,
        src: str = "",
        ttl: int = 64,
        size: int = 56,
        df: bool = False,
        count: int = 1,
        wait: float = 0.0,
        timeout: float = 2.0,
    ) -> Answer:
        """Send echo requests through the kernel's stack and return the answer, which is true if there was one.

        `dev` binds to an interface as ``ping -I dev`` does, or, with `bind` False, only names the interface by which
        the requests leave, as ping did until 2016; otherwise `ns` says from where (not needed where there is
        one namespace). `size` is in bytes of data. No answer is told as soon as nothing is on its way any more; where
        a program of the lab may answer, `timeout` seconds are waited for it, and where packets can be held back (a
        queueing discipline) at least `wait` seconds.
        """
        target = check.ip(dst)
        netns = self._sender(dev, ns)
        for address in (target, check.ip(src) if src else ""):
            if ":" in address:
                raise LabError(
                    f"net.ping() speaks IPv4, and {address} is IPv6",
                    remedy=f'run the program: net.run({netns}, ["ping", "-c", "1", "{address}"])',
                )
        check.number("count", count, 1, 65535)
        check.number("size", size, 0, 65507)
        device = self._live(dev) if dev is not None else None
        place = f" dev {dev}" if dev is not None else f" from {netns}" if len(self._testbed.namespaces) > 1 else ""
        place += "" if bind else " (not bound)"
        self._pings += 1
        before = len(self._recording.frames)
        echo = EchoSocket(
            self._testbed.namespaces[netns],
            dev=device.name if device and bind else "",
            index=device.index if device and not bind else 0,
            src=check.ip(src) if src else "",
            ttl=check.number("ttl", ttl, 1, 255),
            df=df,
            ident=self._pings,
        )
        try:
            answer = Answer(False)
            for sequence in range(1, count + 1):
                answer = self._echo(echo, target, sequence, size, answer.received, max(wait, self._busy(timeout)))
        finally:
            echo.close()
        # Who answers by the kernel alone has answered by now; the frames of this belong before the next question.
        self.settle()
        self._recording.observe(
            f"ping {target}{place}" + (f" from {src}" if src else ""),
            answer.as_json(),
            str(answer),
            range(before + 1, len(self._recording.frames) + 1),
        )
        return answer

    def _echo(self, echo: EchoSocket, dst: str, sequence: int, size: int, received: int, patience: float) -> Answer:
        found: Echo | EchoError | None = echo.send(dst, sequence, size)
        if found is None:
            found = echo.poll(sequence, patience)
        if found is None:
            self.settle()
            found = echo.poll(sequence, 0)
        if isinstance(found, Echo):
            # All of several requests must be answered.
            return Answer(received == sequence - 1, found.rtt, found.ttl, found.source, received=received + 1)
        if found is None:
            return Answer(False, received=received)
        icmp = (found.type, found.code) if found.type >= 0 else None
        return Answer(False, 0.0, 0, found.sender, error_words(found), found.errno, icmp, received)

    def _busy(self, timeout: float) -> float:
        """How long to wait for what is not the kernel's to answer: not at all where no program runs."""
        return timeout if any(each.running for each in self._processes) else 0.0

    def _sender(self, dev: Interface | None, ns: Namespace | None) -> str:
        if dev is not None:
            return self._place(dev)[0]
        if ns is not None:
            return self._place(ns)[0]
        if len(self._testbed.namespaces) == 1:
            return next(iter(self._testbed.namespaces))
        raise LabError("which namespace shall send?", remedy="give dev= (an interface) or ns= (a namespace)")

    def send(
        self, frames: Any, *, dev: Interface, count: int = 1, rate: float | None = None, timing: bool = False
    ) -> Sent:
        """Put frames on an interface, as its own stack would send them, and return how many were sent.

        `frames` is a Scapy packet, bytes, a list of these, or the path of a pcap or pcapng file; `count` repeats it.
        They go as fast as the interface takes them; with `rate`, so many a second; with `timing`, with the times
        between them that the file has. The answer's `rate` is the one that was achieved. Source addresses that are not
        written are those of `dev`. Sent on a bridge port, a frame leaves by it and the bridge never sees it: to test
        the bridge, send at the port's peer.
        """
        netns, name = self._place(dev)
        check.number("count", count, 1, 10_000_000)
        addresses = [s.ip for s in self.topology.settings if isinstance(s, settings.Address) and s.device == dev]
        if timing:
            times, ready = craft.recorded(frames)
        else:
            times, ready = [], craft.frames(frames, mac=dev.mac, ip=addresses[0] if addresses else "")
        when = schedule.planned(len(ready) * count, rate=rate, times=times)
        where, recorder = self._testbed.namespaces[netns], self._testbed.recorder
        # As often as there are interfaces: a bridge floods a frame to all of its ports.
        sightings = max(map(len, self._testbed.names.values()))
        bunch = recorder.bunch(max(map(len, ready), default=0), sightings)
        return inject.send(where, name, ready, count=count, when=when, drain=recorder.relieve, bunch=bunch)

    def socket(self, ns: Namespace, kind: str, *, dev: Interface | None = None, timeout: float = 2.0) -> socket.socket:
        """Return a Python socket, "tcp" or "udp", that lives in a namespace; it is closed at the end of the act.

        Its operations give up after `timeout` seconds; `dev` binds it to an interface (SO_BINDTODEVICE).
        """
        if kind not in KINDS:
            raise LabError(f"{kind!r} is not a kind of socket", remedy=f"choose one of {', '.join(KINDS)}")
        netns, _ = self._place(ns)
        made = self._testbed.namespaces[netns].socket(socket.AF_INET, KINDS[kind])
        self._sockets.append(made)
        made.settimeout(timeout)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if dev is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._place(dev)[1].encode())
        return made

    def run(
        self, ns: Namespace, argv: Sequence[str], *, input: str | bytes | None = None, timeout: float = 10.0
    ) -> Completed:
        """Run a program in a namespace to its end and return its exit status and output; true if it exited 0."""
        netns, _ = self._place(ns)
        done = process.run(self._testbed.namespaces[netns], argv, input=input, timeout=timeout)
        # The interpreter lies elsewhere on every machine, and what was asked is kept in captures.
        words = " ".join("python3" if str(word) == sys.executable else str(word) for word in argv)
        answer = {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        first = (done.stdout or done.stderr).strip().partition("\n")[0]
        self._recording.observe(f"run {words} in {netns}", answer, first or f"exit status {done.returncode}")
        return done

    def start(
        self,
        ns: Namespace,
        argv: Sequence[str],
        *,
        ready: str | Callable[[], object],
        timeout: float = 10.0,
    ) -> Process:
        """Start a program that serves in a namespace and return when it is ready; it ends with the act.

        `ready` is a regular expression that its output must match, or a function that answers true.
        """
        netns, _ = self._place(ns)
        program = Process(self._testbed.namespaces[netns], argv)
        self._processes.append(program)
        program.wait_ready(ready, timeout=timeout)
        return program

    @property
    def logs(self) -> str:
        """What each program that was started here has written, one after the other; empty without any."""
        return "\n".join(program.log() for program in self._processes)

    def tap(self, dev: Interface) -> Tap:
        """Return the program's side of a declared tap device: what is written there, the interface receives."""
        self._place(dev)
        if dev not in self._testbed.taps:
            raise LabError(f"{dev} is no tap device", remedy="declare it with namespace.tap()")
        return self._testbed.taps[dev]

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def finish(self) -> None:
        """Stop the programs, let the network fall silent, and take in the last frames."""
        for program in self._processes:
            program.stop()
        if self.settle() != self._recording.proof.drained and self._recording.proof.rounds:
            self._prove(fence=True)
        self._recording.cut()

    def close(self) -> None:
        """Let go of everything."""
        for program in self._processes:
            with contextlib.suppress(OSError):
                program.stop()
        for each in self._sockets:
            each.close()
        self._testbed.close()
