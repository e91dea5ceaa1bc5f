"""`pktlab ablate`: every declared setting is taken away once, and every act run without it."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import Labs
from pktlab.cli.run import choose
from pktlab.cli.screen import Screen, write_json
from pktlab.cli.status import FAILED, INCONCLUSIVE, PASSED
from pktlab.errors import PktlabError
from pktlab.transcript import Line, Span, plain

if TYPE_CHECKING:
    from pktlab.ablation import Removal, Table

_WHOLE = -1
_NAMED = 3
_INDENT = 12


def ablate(
    labs: Labs = None,
    every: Annotated[bool, typer.Option("--all", help="Every lab that ships with pktlab.")] = False,
    keyword: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Only acts and labs whose names match, as in pytest.")
    ] = "",
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", metavar="N", min=1, help="Use N processors; by default all.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a setting is idle or an act vacuous.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """Take away each declared setting of a lab, one at a time, and tell which acts break without it.

    A setting that no act needs is idle, an act of which no expectation ever breaks is vacuous. With a device goes what
    stands on it. Each rule of an nft ruleset is taken away by itself, too. What a lab keeps for the story, declared
    within `with topology.scenery("why"):`, is never called idle.
    """
    from pktlab import ablation

    tables = _tables(choose(labs or [], every=every, keyword=keyword), keyword, jobs or len(os.sched_getaffinity(0)))
    if as_json:
        write_json(ablation.as_json(tables))
    else:
        screen = Screen()
        for table in tables:
            screen.lines([*_lines(table, screen.width, " chosen by -k" if keyword else ""), []])
    outcomes = {each.outcome for table in tables for each in table.whole.values()}
    if ablation.BREAKS in outcomes or (strict and any(table.idle() or table.vacuous() for table in tables)):
        return FAILED
    unknown = strict and any(any(table.undetermined()) for table in tables)
    return INCONCLUSIVE if unknown or "inconclusive" in outcomes else PASSED


def _tables(labs: Sequence[labfile.LabFile], keyword: str, jobs: int) -> list[Table]:
    from pktlab import ablation
    from pktlab.cli import trials
    from pktlab.topology import Topology

    tables: dict[str, Table] = {}

    def plan(lab: labfile.LabFile, topology: Topology, acts: Sequence[str]) -> list[trials.Trial]:
        removals = ablation.removals(topology)
        takes = [each.takes(topology) for each in removals]
        tables[lab.name] = ablation.Table(lab.name, list(acts), removals, takes)
        whole = [trials.Trial(lab, act, _WHOLE, lambda same: same) for act in acts]
        return whole + [trials.Trial(lab, act, n, each.apply) for n, each in enumerate(removals) for act in acts]

    def tell(result: trials.Result) -> None:
        trial, record = result.trial, result.record
        cell = ablation.cell(record.status, record.reason, result.detail)
        table = tables[trial.lab.name]
        if trial.change == _WHOLE:
            table.whole[trial.act] = cell
        else:
            table.cells[trial.change, trial.act] = cell

    trials.run(labs, plan, keyword=keyword, jobs=jobs, tell=tell, command="ablate")
    if not tables:
        raise PktlabError(
            f"no act or lab matches -k {keyword!r}" if keyword else "no act was run",
            remedy="`pktlab list` shows the labs, `pktlab show LAB` their acts",
        )
    return list(tables.values())


def _lines(table: Table, width: int, chosen: str) -> Iterator[Line]:
    yield [Span(table.lab, "name")]
    for act, whole in table.whole.items():
        if act not in table.sound:
            word = "failed" if whole.outcome == "breaks" else whole.outcome
            yield [Span(f"  {word:<8}", word), Span(f"{act} as it stands: {_short(whole.expectation)}")]
    for number, removal in enumerate(table.removals):
        yield []
        yield [Span(f"  {removal.words}", "question")]
        if removal.setting.scenery:
            yield [Span(f"    scenery: {removal.setting.scenery}", "mark")]
        if taken := table.takes[number]:
            named = ": " + "; ".join(each.command.partition("\n")[0] for each in taken)
            yield [Span(f"    takes {len(taken)} more with it{named if len(taken) <= _NAMED else ''}", "mark")]
        yield from _row(table, number, width)
    yield []
    yield from _summary(table, width, chosen)


def _row(table: Table, number: int, width: int) -> Iterator[Line]:
    row = table.row(number)
    for act, each in row:
        if each.outcome != "holds":
            head: Line = [
                Span(f"    {each.outcome:<8}", "failed" if each.outcome == "breaks" else each.outcome),
                Span(act, "path"),
            ]
            text = textwrap.shorten(_short(each.expectation), max(width - _INDENT, 40), placeholder=" ...")
            if len(plain(head)) + 2 + len(text) <= width:
                yield [*head, Span("  "), Span(text)]
            else:
                yield head
                yield [Span(" " * _INDENT), Span(text)]
    held = [act for act, each in row if each.outcome == "holds"]
    if held:
        lines = textwrap.wrap(", ".join(held), max(width - _INDENT, 40))
        yield [Span(f"    {'holds':<8}", "passed"), Span(lines[0])]
        yield from ([Span(" " * _INDENT + line)] for line in lines[1:])


def _summary(table: Table, width: int, chosen: str) -> Iterator[Line]:
    idle, vacuous = table.idle(), table.vacuous()
    unknown = [f"{_place(removal)}: {removal.words}" for removal in table.undetermined()[0]] + table.undetermined()[1]
    count = f"{len(table.removals)} settings, {len(table.acts)} act{'s' * (len(table.acts) != 1)}{chosen}"
    untried = len(table.acts) - len(table.sound)
    if untried:
        yield [Span(f"  {count}, of which {untried} did not pass as they stand: no setting can be called idle", "mark")]
    elif not idle and not vacuous and not unknown:
        yield [Span(f"  {count}: "), Span("every setting is needed, and every act needs some", "passed")]
    else:
        yield [Span(f"  {count}")]
    for removal in idle:
        yield [Span("  idle     ", "failed"), Span(f"{_place(removal)}: {removal.words}")]
    for act in vacuous:
        yield [Span("  vacuous  ", "failed"), Span(f"{act}: no expectation of it breaks, whatever is taken away")]
    for words in unknown:
        yield [Span("  unknown  ", "inconclusive"), Span(f"{words}: nothing broke, but some run gave no answer")]
    for removal, acts in table.mislabelled():
        who = ", ".join(acts) if len(acts) <= _NAMED else f"{len(acts)} acts"
        text = f"{_place(removal)}: marked as scenery, but {who} cannot do without: {removal.words}"
        lines = textwrap.wrap(text, max(width - 11, 40), break_long_words=False)
        yield [Span("  remark   ", "inconclusive"), Span(lines[0])]
        yield from ([Span(" " * 11 + line)] for line in lines[1:])


def _place(removal: Removal) -> str:
    return f"line {removal.setting.origin.line}"


def _short(text: str) -> str:
    """The text without the file's name, which is the lab's."""
    return re.sub(r"^\S+\.py:(\d+): ", r"line \1: ", text)
