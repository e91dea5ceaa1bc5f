"""The classic experiment as a whole process: who answers an address on a bridge's port, and where the answer goes."""

from __future__ import annotations

import atexit
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from benchmarks.measure import OURS, Case, Contender, Figures, Metric
from benchmarks.program import ROOT, need, run, seconds
from benchmarks.scale import Scale
from pktlab import labfile
from pktlab.kernel import sandbox

_METRICS = (Metric("whole process", "s"),)
_PKTLAB = Path(sys.executable).with_name("pktlab")
# Questions and answers on each interface, however often the question was repeated.
_EXPECTED = re.compile(r"veth0 [1-9] [1-9]\nveth1 [1-9] [1-9]\nbr0 0 [1-9]\n")
_LAB = "bridge_swallows_arp_reply"
_ACT = "test_address_on_the_port"
_PART = Metric("this part of it", "s")
# What a run imports, one on top of the other.
_IMPORTS = (
    ("interpreter", "pass"),
    ("typer", "import pktlab.cli"),
    ("pytest", "import pktlab.cli, pytest"),
    ("pyroute2", "import pktlab.cli, pytest, pktlab.kernel.link"),
    ("Scapy", "import pktlab.cli, pytest, pktlab.kernel.link, pktlab.frames.scapy_config"),
)


def cases(scale: Scale) -> Iterator[Case]:
    """Yield the experiment, and where pktlab's time goes."""
    yield Case(
        "experiment",
        "the classic experiment as a whole process",
        _METRICS,
        (
            Contender(OURS, ours, "pktlab run bridge_swallows_arp_reply -k address_on_the_port"),
            Contender("shell, ip and tcpdump", partial(sandbox.call, script), "ping -W 1; waits for every tcpdump"),
            Contender("the same, tuned", partial(sandbox.call, script, "tuned"), "one ARP question of 0.04 s, as here"),
        ),
        note="benchmarks/peers/arp_reply.sh. All must find the request on both ends of the veth and the answer on the "
        "bridge. pktlab's time includes its sandbox; the script is given one.",
    )
    yield Case(
        "experiment",
        "where that process spends its time",
        (*_METRICS, _PART),
        (Contender(OURS, ours, "all of it"), *_parts()),
        note="Each row is a process of its own that does what the rows above it do and what its name says besides; "
        "this part of it is what it took longer than the row above, in the same round.",
    )


def _parts() -> Iterator[Contender]:
    """Yield the beginnings of a run, each with a part more than the one before, up to the whole."""
    stages: list[tuple[str, Callable[[], Figures], str]] = [
        (name, partial(_imports, code), f"python -c '{code}'") for name, code in _IMPORTS
    ]
    stages += [
        ("collecting", partial(_run_of, ""), "the lab, its topology, and an act that asks for no network"),
        ("network", partial(_run_of, "net: Network"), "the sandbox, the network up and down; the act is empty"),
        ("frames", ours, "the ping, the captures, the questions, the pcapng"),
    ]
    before = [0.0]
    for name, run_it, note in stages:
        yield Contender(f"{OURS}: {name}", partial(_part, run_it, before), note)


def _part(run_it: Callable[[], Figures], before: list[float]) -> Figures:
    """Measure a stage beside the one that ran just before it; the first begins with nothing."""
    whole = run_it()["whole process"]
    part = whole - before[0]
    before[0] = 0.0 if run_it is ours else whole
    return {"whole process": whole, _PART.name: part}


def ours() -> Figures:
    """Run the act; it must pass."""
    with TemporaryDirectory() as captures:
        began = time.monotonic()
        argv: list[str | Path] = [
            _PKTLAB,
            "run",
            _LAB,
            "-k",
            "address_on_the_port",
            "--captures",
            captures,
        ]
        out = run(argv)
        took = time.monotonic() - began
    if "1 passed" not in out:
        raise RuntimeError(f"the act did not pass: {out[-200:]}")
    return {"whole process": took}


def script(*how: str) -> Figures:
    """Run the script; it must have seen the same."""
    need("tcpdump")
    argv: list[str | Path] = ["sh", ROOT / "benchmarks/peers/arp_reply.sh", *how]
    began = time.monotonic()
    out = run(argv)
    took = time.monotonic() - began
    if not _EXPECTED.fullmatch(out):
        raise RuntimeError(f"it saw something else: {out!r}")
    return {"whole process": took}


def _imports(code: str) -> Figures:
    # As the command does: it looks for no garbage while it imports.
    return {"whole process": seconds([sys.executable, "-c", f"import gc; gc.disable(); {code}"])}


def _run_of(arguments: str) -> Figures:
    """Run the act with an empty body, in a copy of the lab."""
    lab = _emptied(arguments)
    began = time.monotonic()
    out = run([_PKTLAB, "run", lab, "-k", "address_on_the_port", "--captures", lab.parent])
    took = time.monotonic() - began
    if "1 passed" not in out:
        raise RuntimeError(f"the empty act did not pass: {out[-200:]}")
    return {"whole process": took}


@cache
def _emptied(arguments: str) -> Path:
    """Write the lab down to its first act, and this act empty; run it once, for Python to compile it."""
    source = labfile.read(labfile.labs_folder() / f"{_LAB}.py")
    lines = source.path.read_text(encoding="utf-8").splitlines()
    head = lines[: next(number for number, line in enumerate(lines) if line.startswith(("@", "def ")))]
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lab = folder / f"{_LAB}.py"
    lab.write_text("\n".join([*head, f"def {_ACT}({arguments}) -> None:", "    pass", ""]), encoding="utf-8")
    run([_PKTLAB, "run", lab, "--captures", folder])
    return lab
