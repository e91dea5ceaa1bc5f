"""Start-up: how long ``--help`` and ``list`` take, beside a bare typer program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import OURS, Case, Contender, Figures, Metric
from benchmarks.program import ROOT, seconds
from benchmarks.scale import Scale

_METRICS = (Metric("whole process", "s"),)
_PKTLAB = Path(sys.executable).with_name("pktlab")
_BARE = ROOT / "benchmarks/peers/bare_typer.py"


def cases(scale: Scale) -> Iterator[Case]:
    """Yield one case for each of the two commands."""
    for command in ("--help", "list"):
        yield Case(
            "start-up",
            f"start-up of {command}",
            _METRICS,
            (
                Contender(OURS, partial(_whole, _PKTLAB, command)),
                Contender(
                    "a bare typer program", partial(_whole, sys.executable, _BARE, command), "the same commands, empty"
                ),
            ),
            note="The best of five processes in a row, each round.",
        )


def _whole(*argv: str | Path) -> Figures:
    return {"whole process": min(seconds(argv) for _ in range(5))}
