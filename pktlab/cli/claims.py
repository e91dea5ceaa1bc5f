"""`pktlab claims`: what became of every sentence that the documents claim."""

from __future__ import annotations

import contextlib
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
from pktlab.cli.status import interrupted
from pktlab.errors import PktlabError
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.act import ActRecord
    from pktlab.report import LabResult
    from pktlab.verdict import Verdict

_COLUMN = 14  # behind the longest verdict


def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown",
            help="Write docs/claims.md and README's gallery from what is declared and captured; run nothing.",
        ),
    ] = False,
    declared: Annotated[
        bool, typer.Option("--declared", help="Only read what the labs say; run nothing, prove nothing.")
    ] = False,
    captures: Annotated[
        Path, typer.Option("--captures", metavar="DIR", help="Where the pcapng files with the proof go, or are.")
    ] = Path("captures"),
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run N acts at a time.")] = 1,
) -> int:
    """Show each claim of the documents with its source, its verdict, the act that gave it, and the frames to see it in.

    The citing labs are run for it, since a verdict is what a packet proves now; the exit status is that of
    `pktlab run`. A claim is open where no act is about it, or the act did not pass here, and undecidable where no
    packet can tell, or this machine lacks what the act needs.
    """
    from pktlab import claims as claimed
    from pktlab import verdict

    if markdown and as_json:
        raise PktlabError("--markdown and --json are both given", remedy="say one of them")
    labs = labfile.discover()
    known, cited = claimed.load(), claimed.citations(labs)
    claimed.check(known, cited)
    status = 0
    if declared or markdown:
        verdicts = verdict.declared(known, cited, captures)
    else:
        citing = {citation.lab for citation in cited}
        results = _results([lab for lab in labs if lab.name in citing], captures, jobs)
        verdicts = verdict.proved(known, cited, results)
        status = conclude(results) if results else 0
    if markdown:
        _write(verdicts, captures)
    elif as_json:
        write_json(verdict.as_json(verdicts))
    else:
        screen = Screen()
        screen.lines(_table(verdicts, screen.width))
    return status


def _write(verdicts: Sequence[Verdict], captures: Path) -> None:
    from pktlab import claimbook, mechanisms

    try:
        claimbook.PAGE.parent.mkdir(exist_ok=True)
        claimbook.PAGE.write_text(claimbook.page(verdicts), encoding="utf-8")
        if mechanisms.PAGE.exists():
            page = mechanisms.PAGE.read_text(encoding="utf-8")
            if mechanisms.BEGIN in page:
                mechanisms.PAGE.write_text(mechanisms.renewed(page, captures), encoding="utf-8")
    except OSError as error:
        raise PktlabError(
            f"cannot write {claimbook.PAGE}: {error.strerror}", remedy="call it in a clone of pktlab"
        ) from None
    print(f"{claimbook.PAGE}: {len(verdicts)} claims")  # noqa: T201


def _results(labs: Sequence[labfile.LabFile], captures: Path, jobs: int) -> list[LabResult]:
    if not labs:
        return []
    folder = captures_folder(captures)
    outcome = perform(labs, captures=folder, jobs=jobs, tell=_silent)
    from pktlab import gallery

    with contextlib.suppress(OSError):  # a full disk has been told where the captures themselves were lost
        gallery.write(folder)
    if outcome.interrupted:
        interrupted()
    return outcome.labs


def _silent(lab: labfile.LabFile, record: ActRecord, detail: str) -> None:
    """Only the progress is shown while the labs run."""


def _table(verdicts: Sequence[Verdict], width: int) -> Iterator[Line]:
    told = "Under each statement stands its source: a document, which is not part of the repository, and the section."
    yield from ([Span(line, "title")] for line in textwrap.wrap(told, max(width, 30)))
    yield []
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
    indent = " " * _COLUMN

    def wrapped(text: str, role: str = "") -> Iterator[Line]:
        yield from ([Span(indent + line, role)] for line in textwrap.wrap(text, max(width - _COLUMN, 30)))

    yield [Span(f"  {verdict.verdict:<{_COLUMN - 2}}", verdict.verdict), Span(verdict.claim.id, "question")]
    yield from wrapped(verdict.claim.statement)
    yield from ([Span(indent + document, "mark")] for document in verdict.claim.documents)
    if verdict.on:
        yield from wrapped(f"on: {verdict.on}", "title")
    if verdict.really:
        yield from wrapped(f"really: {verdict.really}", "title")
    if verdict.lab:
        yield [Span(indent), Span(f"{verdict.lab}: {verdict.act}", "path")]
    yield from ([Span(indent), Span(str(each), "file")] for each in verdict.evidence)
    for line in verdict.reason.splitlines():
        yield from wrapped(line, "skipped")
