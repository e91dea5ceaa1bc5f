"""`pktlab run`: runs labs and tells what the packets did."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import Labs, captures_folder, json_file
from pktlab.cli.screen import Progress, Screen, write_json
from pktlab.cli.status import FAILED, INTERRUPTED, WRONG_USE, worst
from pktlab.errors import PktlabError
from pktlab.transcript import Span

if TYPE_CHECKING:
    from pktlab.act import ActRecord
    from pktlab.cli.session import Outcome, Tell
    from pktlab.report import LabResult

# So many acts are told within sight of the last line.
_ONE_SCREEN = 5
_STATUSES = ("passed", "failed", "inconclusive", "skipped")


def run(
    labs: Labs = None,
    every: Annotated[bool, typer.Option("--all", help="Run every lab that ships with pktlab.")] = False,
    keyword: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Run only acts and labs whose names match, as in pytest.")
    ] = "",
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run N acts at a time.")] = 1,
    captures: Annotated[Path, typer.Option("--captures", metavar="DIR", help="Where the pcapng files go.")] = Path(
        "captures"
    ),
    markers: Annotated[
        bool,
        typer.Option("--markers", help="Keep the marker frames, which prove a capture whole, in the pcapng files."),
    ] = False,
    json: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write the results as JSON; - is standard output.")
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the whole traceback of what failed.")] = False,
) -> int:
    """Run labs; tell for each act what its packets did, the verdict, the time and the capture."""
    chosen = choose(labs or [], every=every, keyword=keyword)
    report = json_file(json) if json not in ("", "-") else None
    teller = _Teller(Screen(), quiet=json == "-")
    folder = captures_folder(captures)
    outcome = perform(
        chosen, captures=folder, keyword=keyword, jobs=jobs, markers=markers, verbose=verbose, tell=teller.tell
    )
    from pktlab import gallery

    with contextlib.suppress(OSError):  # a full disk has been told where the captures themselves were lost
        gallery.write(folder)
    if json:
        _write(outcome, report)
    if outcome.pipe_closed:
        raise BrokenPipeError
    teller.summary(outcome.labs)
    if outcome.interrupted:
        print("pktlab: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    if outcome.unrun:
        print(f"pktlab: the run was ended by an act, {outcome.unrun} acts before its end", file=sys.stderr)  # noqa: T201
        return FAILED
    return conclude(outcome.labs, keyword)


def choose(names: Sequence[str], *, every: bool, keyword: str) -> list[labfile.LabFile]:
    """Return the labs to run; a keyword alone chooses among all of them. Raises PktlabError for wrong use."""
    if names and every:
        raise PktlabError("both labs and --all are given", remedy="name labs, or say --all")
    if names:
        found = labfile.find(names)
        for lab in found:
            if others := [other for other in found if other.name == lab.name and other is not lab]:
                raise PktlabError(
                    f"{lab.path} and {others[0].path} have the same name, and so would their captures",
                    remedy="rename one of them, or run one after the other with a --captures folder for each",
                )
        return found
    if not every and not keyword:
        raise PktlabError("nothing to run", remedy="name a lab (`pktlab list` shows them), or say --all for every one")
    return labfile.discover()


def perform(
    labs: Sequence[labfile.LabFile],
    *,
    captures: Path,
    tell: Tell,
    keyword: str = "",
    jobs: int = 1,
    markers: bool = False,
    verbose: bool = False,
) -> Outcome:
    """Run the labs on this machine. Raises SandboxError, before anything runs, if it cannot run any."""
    from pktlab.kernel import sandbox

    progress = Progress()
    progress.show("starting")
    try:
        with sandbox.trial():  # on another processor, while pytest is imported
            from pktlab.cli import session

            sandbox.available()
        return session.run(
            labs,
            captures=captures,
            keyword=keyword,
            jobs=jobs,
            markers=markers,
            verbose=verbose,
            tell=tell,
            progress=progress,
        )
    finally:
        progress.clear()


def conclude(labs: Sequence[LabResult], keyword: str = "") -> int:
    """Say on standard error which labs could not be run, and return the exit status."""
    if not labs:
        message = f"no act or lab matches -k {keyword!r}" if keyword else "no act was run"
        raise PktlabError(message, remedy="`pktlab list` shows the labs, `pktlab show LAB` their acts")
    for lab in labs:
        if lab.fault:
            print(f"pktlab: {lab.fault}", file=sys.stderr)  # noqa: T201
    return WRONG_USE if any(lab.fault for lab in labs) else worst(lab.status for lab in labs)


def _write(outcome: Outcome, file: Path | None) -> None:
    from pktlab.report import as_json

    if file is None:
        with contextlib.suppress(BrokenPipeError) if outcome.pipe_closed else contextlib.nullcontext():
            write_json(as_json(outcome.labs))
        return
    # What was there before is only replaced by something whole; a device or a pipe is written to as it is.
    partial = file.with_name(f".{file.name}.partial") if file.is_file() or not file.exists() else file
    try:
        with partial.open("w", encoding="utf-8") as stream:
            write_json(as_json(outcome.labs), stream)
        if partial != file:
            partial.replace(file)
    except OSError as error:
        if partial != file:
            partial.unlink(missing_ok=True)
        raise PktlabError(f"cannot write {file}: {error.strerror}", remedy="name another file") from None


class _Teller:
    """Prints acts as they end, below the name of their lab."""

    def __init__(self, screen: Screen, *, quiet: bool) -> None:
        self._screen = screen
        self._quiet = quiet
        self._lab: labfile.LabFile | None = None

    def tell(self, lab: labfile.LabFile, record: ActRecord, detail: str) -> None:
        """Print the transcript of an act."""
        from pktlab import transcript

        if self._quiet:
            return
        if lab is not self._lab:
            self._screen.lines([[Span(lab.name, "name")], [Span(lab.title, "title")], []])
            self._lab = lab
        self._screen.lines([*transcript.act(record, detail=detail, width=self._screen.width), []])

    def summary(self, labs: Sequence[LabResult]) -> None:
        """Print how many acts came to what."""
        count = Counter(act.status for lab in labs for act in lab.acts)
        if self._quiet or not count:
            return
        self._again(labs)
        seconds = sum(lab.seconds for lab in labs)
        line = [Span(f"{_number(sum(count.values()), 'act')} of {_number(len(labs), 'lab')}: ")]
        for number, status in enumerate([status for status in _STATUSES if count[status]]):
            line += [Span(", " if number else ""), Span(f"{count[status]} {status}", status)]
        self._screen.lines([[*line, Span(f", {seconds:.2f} s")]])

    def _again(self, labs: Sequence[LabResult]) -> None:
        """After many acts, name those that did not pass: they may be thousands of lines above."""
        acts = [(lab.name, act) for lab in labs for act in lab.acts]
        wrong = [(lab, act) for lab, act in acts if act.status in ("failed", "inconclusive")]
        if not wrong or len(acts) <= _ONE_SCREEN:
            return
        for lab, act in wrong:
            reason = act.reason.partition("\n")[0]
            words = f"  {lab}  {act.name}  "
            self._screen.lines([[Span(act.status, act.status), Span(words), Span(reason, "detail")]])
        self._screen.lines([[]])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
