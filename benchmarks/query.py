"""A path query: one packet among many frames on ten interfaces, and which of them saw it, in which order."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

from benchmarks.measure import OURS, Case, Contender, Figures, Metric
from benchmarks.program import ROOT, need, run
from benchmarks.scale import Scale
from pktlab.frames import pcapng
from pktlab.interface import Interface
from pktlab.kernel.storage import Storage, place
from pktlab.network import Seen
from pktlab.network.recording import Recording

INTERFACES = [Interface(f"n{i // 2}", f"eth{i % 2}", index=101 + i) for i in range(10)]
_METRICS = (Metric("query", "s"), Metric("peak memory", "MB"))
_PART = 10_000  # frames that Scapy is given, at most
_STEP = 1_000  # nanoseconds between two frames


def cases(scale: Scale) -> Iterator[Case]:
    """Yield one case for each number of frames."""
    for count in scale.queried:
        yield Case(
            "query",
            f"path query over {count:,} frames on {len(INTERFACES)} interfaces",
            _METRICS,
            (
                Contender(OURS, partial(_apart, ours, count), "in the capture at hand; the first question"),
                Contender(f"{OURS}: again", partial(_apart, again, count), "another packet, after the first question"),
                Contender(f"{OURS}: from the file", partial(_apart, from_file, count), "reading and numbering counted"),
                Contender("tshark -Y", partial(tshark, count), "the same pcapng file"),
                Contender("Scapy rdpcap", partial(scapy, count), f"{min(count, _PART):,} frames, extrapolated"),
            ),
            note="ICMP echo requests through a chain of nodes; the packet asked for by id and sequence number was seen "
            "ten times, and every contender must say where, in order. Peak memory is that of the process, capture "
            "and interpreter included.",
        )


def _echo(number: int) -> bytes:
    """Return a request whose id and sequence number are its own."""
    ident, sequence = divmod(number, 65536)
    ip = pack("!BBHHHBBH4s4s", 0x45, 0, 84, number & 0xFFFF, 0, 64, 1, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    icmp = pack("!BBHHH", 8, 0, 0, ident + 1, sequence)
    return bytes.fromhex("020000000002020000000001") + b"\x08\0" + ip + icmp + bytes(56)


def _stored(count: int) -> Storage:
    """Return what a capture keeps: each packet goes through the whole chain, many are on their way at once."""
    storage = Storage()
    places = [place(hop // 2, each.index, hop % 2 == 0) for hop, each in enumerate(INTERFACES)]
    for number in range(count // len(INTERFACES)):
        data = _echo(number)
        for hop, where in enumerate(places):
            storage.add(data, (number * len(INTERFACES) + hop) * _STEP, where)
    return storage


def _asked(count: int) -> tuple[int, int]:
    """Return id and sequence number of the packet in the middle."""
    ident, sequence = divmod(count // len(INTERFACES) // 2, 65536)
    return ident + 1, sequence


def _recording(count: int) -> Recording:
    recording = Recording(_stored(count))
    recording.take(_resolve)
    recording.cut()
    return recording


def _resolve(netns: int, index: int) -> Interface:
    return INTERFACES[index - 101]


def _ask(recording: Recording, count: int, *, other: int = 0) -> float:
    from scapy.layers.inet import ICMP

    ident, sequence = _asked(count)
    seen = Seen(recording, 0, lambda: None, INTERFACES)
    began = time.monotonic()
    path = seen.path(ICMP(type="echo-request", id=ident, seq=sequence - other))
    took = time.monotonic() - began
    if path != INTERFACES:
        raise RuntimeError(f"the path is {path}")
    return took


def ours(count: int) -> float:
    """Ask the capture of an act."""
    return _ask(_recording(count), count)


def again(count: int) -> float:
    """Ask for another packet."""
    recording = _recording(count)
    _ask(recording, count)
    return _ask(recording, count, other=1)


def from_file(count: int) -> float:
    """Read the file as tshark does, then ask."""
    with TemporaryDirectory() as folder:
        path = _written(Path(folder), count)
        began = time.monotonic()
        with path.open("rb") as file:
            recording = Recording()
            recording.frames.add(pcapng.frames(file))
        recording.cut()
        _ask(recording, count)
        return time.monotonic() - began


def _apart(work: Callable[[int], float], count: int) -> Figures:
    """Do it in a process of its own, so that its memory is its own."""
    receive, send = get_context("fork").Pipe(duplex=False)

    def child() -> None:
        send.send((work(count), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000))

    process = get_context("fork").Process(target=child)
    process.start()
    send.close()
    try:
        took, memory = receive.recv()
    except EOFError:
        raise RuntimeError("the process died") from None
    finally:
        process.join()
    return {"query": took, "peak memory": memory}


def _written(folder: Path, count: int) -> Path:
    path = folder / "frames.pcapng"
    with path.open("wb") as file:
        pcapng.write(file, _recording(count).frames, INTERFACES)
    return path


def tshark(count: int) -> Figures:
    """Filter the file by the fields' names."""
    program = need("tshark")
    ident, sequence = _asked(count)
    with TemporaryDirectory() as folder:
        _apart(lambda n: float(_written(Path(folder), n).stat().st_size), count)
        wanted = f"icmp.type == 8 && icmp.ident == {ident} && icmp.seq == {sequence}"
        argv = [
            program,
            "-n",
            "-r",
            f"{folder}/frames.pcapng",
            "-Y",
            wanted,
            "-T",
            "fields",
            "-e",
            "frame.interface_name",
        ]
        script: list[str | Path] = [sys.executable, ROOT / "benchmarks/peers/timed.py", *argv]
        took, memory, *names = run(script).split()
    if names != [str(each) for each in INTERFACES]:
        raise RuntimeError(f"the path is {names}")
    return {"query": float(took), "peak memory": float(memory)}


def scapy(count: int) -> Figures:
    """Read a part of the file, filter it by layers and fields, and extrapolate."""
    part = min(count, _PART)
    with TemporaryDirectory() as folder:
        _apart(lambda n: float(_written(Path(folder), n).stat().st_size), part)
        ident, sequence = _asked(part)
        program = ROOT / "benchmarks/peers/query_scapy.py"
        out = run([sys.executable, program, f"{folder}/frames.pcapng", str(ident), str(sequence)]).split()
    if int(out[2]) != len(INTERFACES):
        raise RuntimeError(f"it was found {out[2]} times")
    return {"query": float(out[0]) * count / part, "peak memory": float(out[1]) * count / part}
