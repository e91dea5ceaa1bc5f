"""`pktlab doctor`: what this machine can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab.cli.screen import Progress, Screen, write_json
from pktlab.cli.status import CANNOT_RUN, PASSED
from pktlab.errors import SandboxError
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.kernel.probe import Capability


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """Say what this machine can and cannot run, each "no" with its remedy.

    Everything is tried, nothing is guessed. The exit status is 3 if labs cannot run here at all.
    """
    from pktlab.kernel import sandbox
    from pktlab.kernel.probe import probe

    progress = Progress()
    progress.show("trying what this machine can do")
    try:
        found = probe()
        runs = True
        try:
            sandbox.available()
        except SandboxError:
            runs = False
    finally:
        progress.clear()
    if as_json:
        write_json({"version": 1, "labs_can_run": runs, "capabilities": [asdict(capability) for capability in found]})
    else:
        Screen().lines(_table(found, runs=runs))
    return PASSED if runs else CANNOT_RUN


def _table(found: Sequence[Capability], *, runs: bool) -> Iterator[Line]:
    width = max((len(capability.name) for capability in found), default=0)
    for capability in found:
        role = "passed" if capability.available else "failed"
        answer = "yes" if capability.available else "no "
        yield [Span(f"{answer}  ", role), Span(f"{capability.name:<{width}}", "name"), Span(f"  {capability.detail}")]
        yield from ([Span(" " * (width + 7) + line, "skipped")] for line in capability.remedy.splitlines())
    missing = sum(not capability.available for capability in found)
    yield []
    if not runs:
        yield [Span("Labs cannot run on this machine.", "failed")]
    elif missing:
        yield [Span("Labs run here", "passed"), Span("; an act that needs what is missing is skipped.")]
    else:
        yield [Span("Labs run here, all of them.", "passed")]
