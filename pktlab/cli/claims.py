"""`pktlab claims`: what became of every sentence that the documents claim."""

from __future__ import annotations

import contextlib
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import captures_folder
from pktlab.cli.run import conclude, perform
from pktlab.cli.screen import Screen, write_json
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.act import ActRecord
    from pktlab.report import LabResult
    from pktlab.verdict import Verdict

_COLUMN = 13


def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
    declared: Annotated[
        bool, typer.Option("--declared", help="Only read what the labs say; run nothing, prove nothing.")
    ] = False,
    captures: Annotated[
        Path | None, typer.Option("--captures", metavar="DIR", help="Keep the pcapng files in this folder.")
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run N acts at a time.")] = 1,
) -> int:
    """Show each claim of the documents with its source, its verdict and the act that gave it.

    The citing labs are run for it, since a verdict is what a packet proves now; the exit status is that of
    `pktlab run`. A claim is open where no act is about it, or the act did not pass here.
    """
    from pktlab import claims as claimed
    from pktlab import verdict

    labs = labfile.discover()
    known, cited = claimed.load(), claimed.citations(labs)
    claimed.check(known, cited)
    status = 0
    if declared:
        verdicts = verdict.declared(known, cited)
    else:
        citing = {citation.lab for citation in cited}
        results = _results([lab for lab in labs if lab.name in citing], captures, jobs)
        verdicts = verdict.proved(known, cited, results)
        status = conclude(results) if results else 0
    if as_json:
        write_json(verdict.as_json(verdicts))
    else:
        screen = Screen()
        screen.lines(_table(verdicts, screen.width))
    return status


def _results(labs: Sequence[labfile.LabFile], captures: Path | None, jobs: int) -> list[LabResult]:
    if not labs:
        return []
    with contextlib.ExitStack() as stack:
        folder = captures_folder(captures) if captures else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outcome = perform(labs, captures=folder, jobs=jobs, tell=_silent)
    if outcome.interrupted:
        raise KeyboardInterrupt  # half of the verdicts would look like all of them
    return outcome.labs


def _silent(lab: labfile.LabFile, record: ActRecord, detail: str) -> None:
    """Only the progress is shown while the labs run."""


def _table(verdicts: Sequence[Verdict], width: int) -> Iterator[Line]:
    for topic in dict.fromkeys(verdict.claim.topic for verdict in verdicts):
        yield [Span(topic, "name")]
        for verdict in verdicts:
            if verdict.claim.topic == topic:
                yield from _claim(verdict, width)
        yield []
    from pktlab.verdict import VERDICTS

    count = Counter(verdict.verdict for verdict in verdicts)
    line = [Span(f"{len(verdicts)} claims: ")]
    for number, word in enumerate(VERDICTS):
        line += [Span(", " if number else ""), Span(f"{count[word]} {word}", word)]
    yield line


def _claim(verdict: Verdict, width: int) -> Iterator[Line]:
    yield [
        Span(f"  {verdict.verdict:<{_COLUMN - 2}}", verdict.verdict),
        Span(verdict.claim.id, "question"),
        Span(f"  on {verdict.on}" if verdict.on else ""),
    ]
    indent = " " * _COLUMN
    yield from ([Span(indent + line)] for line in textwrap.wrap(verdict.claim.statement, max(width - _COLUMN, 30)))
    yield from ([Span(indent + document, "mark")] for document in verdict.claim.documents)
    if verdict.lab:
        yield [Span(indent), Span(f"{verdict.lab}: {verdict.act}", "path")]
    if verdict.reason:
        yield from ([Span(indent + line, "skipped")] for line in verdict.reason.splitlines())
