"""Capture: the rate up to which nothing is lost, on one interface, and on many in many namespaces."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from benchmarks import bed
from benchmarks.bed import Bed
from benchmarks.measure import OURS, Case, Contender, Figures, Metric
from benchmarks.program import ROOT, need
from benchmarks.scale import Scale
from benchmarks.sender import FRAME, Load
from pktlab import Network
from pktlab.frame import Frame
from pktlab.frames import pcapng
from pktlab.interface import Interface
from pktlab.kernel import sandbox
from pktlab.kernel.capture import Recorder
from pktlab.kernel.fence import Fence
from pktlab.network.frames import Frames

_LOSSLESS = "no loss up to"
_METRICS = (
    Metric(_LOSSLESS, "frames/s", more=True),
    Metric("full speed", "frames/s", more=True),
    Metric("lost at full speed", "%"),
)
_NOTE = (
    "64-byte frames from a process of its own at rising rates, a quarter of a second each; the figure is the rate that "
    "was really offered. Peers write to a file in memory and get the time they need to write the rest."
)
# A frame and the header of its record in a classic pcap file; with -i any, SLL2's header stands for Ethernet's.
_RECORD, _RECORD_ANY, _HEADER = 16 + len(FRAME), 16 + len(FRAME) - 14 + 20, 24
# A program keeps so many bytes at most before it writes them to its file.
_BUFFERED = 4096
# How long a peer may write nothing before it counts as done, in seconds.
_PATIENCE = 1.5

# Frames sent and seconds it took, and how many of them were captured.
_Result = tuple[int, float, int]


def cases(scale: Scale) -> Iterator[Case]:
    """Yield the case of one interface, and that of many."""
    one = partial(_climb, scale=scale, where=bed.ONE)
    yield Case(
        "capture",
        "capture on one interface",
        _METRICS,
        (
            Contender(OURS, partial(one, by_one_ring), "a ring at the receiving end only, as the peers"),
            Contender(f"{OURS}, both ends", partial(one, by_ring), "as in an act, with rings: two records a frame"),
            Contender(f"{OURS} by itself", partial(one, by_sockets), "as in an act: rings take over where queues fill"),
            Contender("tcpdump", partial(one, tcpdump), "-w, 64 MiB of buffer; the receiving end only"),
            Contender("tcpdump twice", partial(one, tcpdump_twice), "one at each end: two records a frame"),
            Contender("dumpcap", partial(one, dumpcap), "-w, 64 MiB of buffer; the receiving end only"),
            Contender("Scapy sniff", partial(one, scapy_sniff), "store=False"),
        ),
        _NOTE,
    )
    namespaces, interfaces = scale.many
    many = partial(_climb, scale=scale, where=bed.many(namespaces, interfaces))
    yield Case(
        "capture",
        f"capture on {namespaces * interfaces} interfaces in {namespaces} namespaces",
        _METRICS,
        (
            Contender(OURS, partial(many, by_sockets), "sockets; two records a frame"),
            Contender(f"{OURS} by rings", partial(many, by_ring), "two records a frame"),
            Contender("tcpdump", partial(many, tcpdump_any), "-i any, a process a namespace; two records a frame"),
        ),
        _NOTE,
    )


def _climb(capture: Callable[[Bed, int, float | None], _Result], *, scale: Scale, where: Bed) -> Figures:
    """Raise the rate until frames are lost; then send as fast as the sender can."""
    lossless, lossy, figures = 0.0, False, {}
    for rate in scale.rates:
        if lossy and rate is not None:
            continue
        count = int(min(rate / 4, scale.most_frames)) if rate else scale.most_frames
        sent, seconds, captured = sandbox.call(capture, where, count, rate, deadline=120.0)
        if sent != count:
            raise RuntimeError(f"{sent} of {count} frames were sent")
        if captured < sent:
            lossy = True
        else:
            lossless = max(lossless, sent / seconds)
        if rate is None:
            figures = {"full speed": sent / seconds, "lost at full speed": 100 * (1 - captured / sent)}
    return {_LOSSLESS: lossless, **figures}


def by_one_ring(where: Bed, count: int, rate: float | None) -> _Result:
    """pktlab's recorder in the receiving namespace; at full speed, the file must have all that was captured."""
    with where.plain() as namespaces, closing(Recorder([namespaces["b"]])) as recorder:
        recorder.use_rings()
        recorder.start()
        sent, seconds = Load(count, rate, where.senders).go()
        with closing(Fence()) as fence:
            fence.round()
        recorder.drain()
        captured, lost = recorder.index(), sum(recorder.losses().values())
        if captured + lost != sent:
            raise RuntimeError(f"{sent} sent, {captured} captured, {lost} counted as lost")
        if rate is None:
            frames = Frames(recorder.storage)
            frames.take(lambda number, index: Interface("b", "eth0", index=index))
            _all_written(frames)
        return sent, seconds, captured


def by_ring(where: Bed, count: int, rate: float | None) -> _Result:
    """pktlab's capture by rings; at full speed, the file must have all that was captured."""
    return _ours(where, count, rate, ring=True)


def by_sockets(where: Bed, count: int, rate: float | None) -> _Result:
    """pktlab's capture as it is without asking for more."""
    return _ours(where, count, rate, ring=False)


def _ours(where: Bed, count: int, rate: float | None, *, ring: bool) -> _Result:
    """What pktlab does not have, it must have counted as lost."""
    with Network(where.topology()) as net:
        if ring:
            net.use_rings()
        load = Load(count, rate, where.senders)
        sent, seconds = load.go()
        net.settle()
        lost, frames = sum(net.losses().values()), net.recording.frames
        # Where a ring takes over from a queue that overflows, a few may count as lost that are there.
        if len(frames) > 2 * sent or len(frames) + lost < 2 * sent:
            raise RuntimeError(f"{2 * sent} sightings, {len(frames)} captured, {lost} counted as lost")
        if rate is None:
            _all_written(frames)
        return sent, seconds, sent - min(sent, lost)


def _all_written(frames: Sequence[Frame]) -> None:
    """Write the file and count its frames."""
    with TemporaryFile() as file:
        pcapng.write(file, frames, ())
        file.seek(0)
        found = sum(1 for _ in pcapng.frames(file))
    if found != len(frames):
        raise RuntimeError(f"{len(frames)} frames were captured, {found} are in the file")


def tcpdump(where: Bed, count: int, rate: float | None) -> _Result:
    """tcpdump -w at the receiving end."""
    argv = [need("tcpdump"), "-Z", "root", "-p", "-n", "-B", "65536", "-i", "eth0", "-w"]
    return _peer({"b": argv}, where, count, rate, _RECORD)


def tcpdump_twice(where: Bed, count: int, rate: float | None) -> _Result:
    """One tcpdump at each end, so that there are as many records as in pktlab's capture."""
    argv = [need("tcpdump"), "-Z", "root", "-p", "-n", "-B", "65536", "-i", "eth0", "-w"]
    return _peer({"a": argv, "b": argv}, where, count, rate, _RECORD, sightings=2)


def tcpdump_any(where: Bed, count: int, rate: float | None) -> _Result:
    """One tcpdump a namespace, on all of its interfaces."""
    argv = [need("tcpdump"), "-Z", "root", "-p", "-n", "-B", "8192", "-i", "any", "-y", "LINUX_SLL2", "-w"]
    return _peer(dict.fromkeys(where.namespaces, argv), where, count, rate, _RECORD_ANY, sightings=2)


def dumpcap(where: Bed, count: int, rate: float | None) -> _Result:
    """Dumpcap -w at the receiving end."""
    argv = [need("dumpcap", "wireshark-common"), "-p", "-P", "-B", "64", "-i", "eth0", "-w"]
    return _peer({"b": argv}, where, count, rate, _RECORD)


def scapy_sniff(where: Bed, count: int, rate: float | None) -> _Result:
    """Scapy's sniff() at the receiving end."""
    with where.plain():
        script = str(ROOT / "benchmarks/peers/sniff_scapy.py")
        argv = ["ip", "netns", "exec", "b", sys.executable, script, str(count)]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as peer:
            assert peer.stdout is not None
            peer.stdout.readline()
            sent, seconds = Load(count, rate, where.senders).go()
            out, _ = peer.communicate("\n")
            return sent, seconds, int(out)


def _peer(
    commands: dict[str, list[str]], where: Bed, count: int, rate: float | None, record: int, *, sightings: int = 1
) -> _Result:
    """Let a program write to a file in each of some namespaces; the file's size says how many frames it has."""
    with where.plain():
        with _running(commands) as files:
            sent, seconds = Load(count, rate, where.senders).go()
            _written(files, sent * sightings * record - _BUFFERED * len(files))
        # Now that they have ended, what they had buffered is there, too.
        return sent, seconds, (_size(files) - _HEADER * len(files)) // record // sightings


@contextmanager
def _running(commands: dict[str, list[str]]) -> Iterator[list[Path]]:
    """Have the programs capturing within the block; each has said so."""
    files = {name: Path(f"/run/{name}.pcap") for name in commands}
    running = []
    try:
        for name, argv in commands.items():
            whole = ["ip", "netns", "exec", name, *argv, str(files[name])]
            running.append(subprocess.Popen(whole, stderr=subprocess.PIPE, text=True))
        for each in running:
            assert each.stderr is not None
            # "listening on" is tcpdump's, "File:" is what dumpcap says when it has begun.
            if not any(line.startswith("File:") or "listening on" in line for line in each.stderr):
                raise RuntimeError("it did not begin to capture")
        yield list(files.values())
    finally:
        for each in running:
            each.send_signal(signal.SIGINT)
        for each in running:
            each.communicate()


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _written(files: Sequence[Path], expected: int) -> None:
    """Return when the files are about as large as expected, or have not grown for a while."""
    size, since = _size(files), time.monotonic()
    while size < expected and time.monotonic() - since < _PATIENCE:
        select.select((), (), (), 0.01)
        now = _size(files)
        if now != size:
            size, since = now, time.monotonic()
