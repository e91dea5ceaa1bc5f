"""Injection: ready frames put on a veth as fast as it takes them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from struct import pack

from benchmarks import bed
from benchmarks.measure import OURS, Case, Contender, Disturbed, Figures, Metric
from benchmarks.program import ROOT, need, run
from benchmarks.scale import Scale
from pktlab import Network
from pktlab.errors import Inconclusive
from pktlab.kernel import inject, sandbox

_METRICS = (Metric("rate", "frames/s", more=True),)
_DIFFERENT = 1000
_SCAPY_FRAMES = 5000


def cases(scale: Scale) -> Iterator[Case]:
    """Yield one case for small frames and one for large ones."""
    for size in (64, 1500):
        yield Case(
            "injection",
            f"injection of {size}-byte frames",
            _METRICS,
            (
                _contender(OURS, ours, scale, size, "no capture beside it"),
                _contender(f"{OURS} net.send", net_send, scale, size, "an act's network, every interface captured"),
                _contender("tcpreplay", tcpreplay, scale, size, "--topspeed --preload-pcap"),
                _contender("Scapy sendp", sendp, scale, size),
            ),
            note=f"{_DIFFERENT} different frames over and over, out of one end of a veth; the other end's counter must "
            "have them all. Each tells its own rate, from its first frame to its last; what was before is left out.",
        )


def _contender(
    name: str, function: Callable[[int, int], Figures], scale: Scale, size: int, note: str = ""
) -> Contender:
    return Contender(name, partial(sandbox.call, function, scale.injected, size, deadline=120.0), note)


def frames(size: int) -> list[bytes]:
    """Return frames that differ, to a station that is not there."""
    header = bytes.fromhex("02ff00000001020000000001") + b"\x88\xb6"
    return [(header + number.to_bytes(4, "big")).ljust(size, b".") for number in range(_DIFFERENT)]


def _arrived() -> int:
    out = run(["ip", "netns", "exec", "b", "cat", "/proc/net/dev"])
    return int(re.search(r"eth0:\s*\d+\s+(\d+)", out)[1])  # type: ignore[index]


def _all_arrived(count: int) -> None:
    if _arrived() < count:
        raise Disturbed(f"{count} frames were sent, {_arrived()} arrived")


@contextmanager
def undropped() -> Iterator[None]:
    """Tell it where the interface dropped frames, which is somebody else's doing."""
    try:
        yield
    except Inconclusive as error:
        raise Disturbed(error.message) from error


def ours(count: int, size: int) -> Figures:
    """Sender and veth, and nothing else."""
    ready = frames(size)
    with bed.ONE.plain() as namespaces:
        with undropped():
            sent = inject.send(namespaces["a"], "eth0", ready, count=count // _DIFFERENT)
        _all_arrived(count)
        return {"rate": sent.rate}


def net_send(count: int, size: int) -> Figures:
    """The same in an act; fewer frames, since each is kept twice."""
    count //= 10
    with Network(bed.ONE.topology()) as net:
        dev = net.topology.namespaces["a"].devices["eth0"]
        with undropped():
            sent = net.send(frames(size), dev=dev, count=max(1, count // _DIFFERENT))
        net.settle()
        if len(net.recording.frames) + sum(net.losses().values()) != 2 * sent:
            raise RuntimeError("frames are neither captured nor counted as lost")
        return {"rate": sent.rate}


def tcpreplay(count: int, size: int) -> Figures:
    """The same frames out of a file."""
    program = need("tcpreplay")
    with bed.ONE.plain():
        _write(Path("/run/frames.pcap"), size)
        loops = f"--loop={count // _DIFFERENT}"
        argv = [program, "-i", "eth0", "--topspeed", "--preload-pcap", loops, "/run/frames.pcap"]
        out = run(["ip", "netns", "exec", "a", *argv])
        _all_arrived(count)
        found = re.search(r"([\d.]+) pps", out)
        if not found:
            raise RuntimeError("it did not tell its rate")
        return {"rate": float(found[1])}


def sendp(count: int, size: int) -> Figures:
    """Ready bytes by sendp()."""
    count = min(count, _SCAPY_FRAMES)
    with bed.ONE.plain():
        argv = [sys.executable, str(ROOT / "benchmarks/peers/sendp_scapy.py"), str(count), str(size)]
        took = float(run(["ip", "netns", "exec", "a", *argv]))
        _all_arrived(count)
        return {"rate": count / took}


def _write(path: Path, size: int) -> None:
    """Write the frames as classic pcap, which is what tcpreplay reads fastest."""
    with path.open("wb") as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames(size):
            file.write(pack("<IIII", 0, 0, size, size) + frame)
