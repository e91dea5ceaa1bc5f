"""The classic experiment as a whole process: who answers an address on a bridge's port, and where the answer goes."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import OURS, Case, Contender, Figures, Metric
from benchmarks.program import ROOT, need, run, seconds
from benchmarks.scale import Scale
from pktlab.kernel import sandbox

_METRICS = (Metric("whole process", "s"),)
_PKTLAB = Path(sys.executable).with_name("pktlab")
# Questions and answers on each interface, however often the question was repeated.
_EXPECTED = re.compile(r"veth0 [1-9] [1-9]\nveth1 [1-9] [1-9]\nbr0 0 [1-9]\n")
# What a process of pktlab begins with, one on top of the other; each line is the time of a process that does so much.
_PARTS = (
    ("interpreter", "pass"),
    ("and pytest", "import pytest"),
    ("and pyroute2", "import pytest, pktlab.kernel.link"),
    ("and Scapy's layers", "import pytest, pktlab.kernel.link; from pktlab.frames import dissect; dissect.load()"),
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
        _METRICS,
        (
            Contender(OURS, ours, "all of it"),
            *(Contender(f"{OURS}: {name}", partial(_part, code)) for name, code in _PARTS),
            Contender(f"{OURS}: collecting the act", collect, "no act is run"),
        ),
        note="Each row is a process of its own that does what the row says and what the rows above do; the difference "
        "to the whole is the sandbox, the network, the frames and the report.",
    )


def ours() -> Figures:
    """Run the act; it must pass."""
    with TemporaryDirectory() as captures:
        began = time.monotonic()
        argv: list[str | Path] = [
            _PKTLAB,
            "run",
            "bridge_swallows_arp_reply",
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


def _part(code: str) -> Figures:
    return {"whole process": seconds([sys.executable, "-c", code])}


def collect() -> Figures:
    """Do everything but the act."""
    argv = [sys.executable, "-m", "pytest", "-q", "--collect-only", "labs/bridge_swallows_arp_reply.py"]
    began = time.monotonic()
    run(argv)
    return {"whole process": time.monotonic() - began}
