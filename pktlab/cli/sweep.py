"""`pktlab sweep`: acts under every combination of values of some settings, and which of them decide."""

from __future__ import annotations

import functools
import itertools
import math
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.screen import Screen, write_json
from pktlab.cli.status import FAILED, INCONCLUSIVE, PASSED
from pktlab.errors import PktlabError
from pktlab.interface import shortest
from pktlab.transcript import Line, Span, shorten

if TYPE_CHECKING:
    from pktlab.sweep import Outcome, Pattern, Table
    from pktlab.topology import Topology
    from pktlab.topology.knob import Knob

_MOST = 10_000
_AGAIN = 2
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sweep(
    lab: Annotated[
        str, typer.Argument(metavar="LAB|FILE", help="A lab by name or by path.", autocompletion=complete_lab)
    ],
    given: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="NAME=V1,V2", help="A setting and its values; {x,y} in NAME stands for several settings."
        ),
    ],
    keyword: Annotated[str, typer.Option("-k", metavar="EXPR", help="Only acts whose names match, as in pytest.")] = "",
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", metavar="N", min=1, help="Use N processors; by default all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, with every combination in full.")] = False,
) -> int:
    """Run acts for every combination of values, and tell the answers to all their questions, and what decides.

    NAME is a sysctl, an option of a bridge (ageing_time, stp, forward_delay, mcast_snooping, group_fwd_mask) or of a
    link (mtu, mac, up); the namespace is needed where there are several. The value stands in place of the declared
    one; what an act sets itself, it sets still. An expectation that does not hold does not end an act here.
    """
    from pktlab import sweep as swept

    tables = _tables(labfile.find([lab])[0], given, keyword, jobs or len(os.sched_getaffinity(0)))
    if as_json:
        write_json(swept.as_json(tables))
    else:
        screen = Screen()
        for table in tables:
            screen.lines([*_lines(table, screen.width), []])
    statuses = {came.status for table in tables for came in table.points.values()}
    if "inconclusive" in statuses:
        return INCONCLUSIVE
    if "failed" in statuses:
        return FAILED
    # A question that was left out may be the one that the settings decide.
    return INCONCLUSIVE if any(table.unsteady() for table in tables) else PASSED


def _tables(lab: labfile.LabFile, given: Sequence[str], keyword: str, jobs: int) -> list[Table]:
    from pktlab import asking
    from pktlab import sweep as swept
    from pktlab.cli import trials
    from pktlab.topology import knob

    tables: dict[str, Table] = {}
    points: list[tuple[int, ...]] = []

    def plan(lab: labfile.LabFile, topology: Topology, acts: Sequence[str]) -> list[trials.Trial]:
        knobs = [each for text in given for each in knob.parse(text, topology)]
        for (one, _), (other, _) in itertools.combinations(knobs, 2):
            if one.name == other.name:
                raise PktlabError(f"{one.name} is set twice", remedy="give it all its values in one --set")
        if (count := math.prod(len(values) for _, values in knobs)) > _MOST:
            raise PktlabError(f"{count} combinations are too many", remedy=f"give fewer values: at most {_MOST}")
        titles = {act.name: act.title for act in lab.acts}
        for act in acts:
            axes = [swept.Axis(each.name, tuple(values)) for each, values in knobs]
            tables[act] = swept.Table(lab.name, act, titles.get(act.partition("[")[0], ""), axes)
        points.extend(itertools.product(*(range(len(values)) for _, values in knobs)))
        combinations = list(itertools.product(*(values for _, values in knobs)))
        chosen = [functools.partial(_apply, [each for each, _ in knobs], values) for values in combinations]
        # Some of them again, to learn which answers differ by themselves.
        numbers = [*range(len(points)), *(number for number in {0, len(points) - 1} for _ in range(_AGAIN))]
        return [trials.Trial(lab, act, number, chosen[number]) for act in acts for number in numbers]

    def tell(result: trials.Result) -> None:
        table, point = tables[result.trial.act], points[result.trial.change]
        came = swept.outcome(result.record)
        table.interfaces |= dict.fromkeys(result.record.capture.interfaces)
        if table.points.setdefault(point, came) is not came:
            table.again.append((point, came))

    trials.run([lab], plan, keyword=keyword, jobs=jobs, tell=tell, prepare=asking.ask_all, command="sweep")
    if not tables:
        raise PktlabError(f"no act matches -k {keyword!r}", remedy=f"`pktlab show {lab.name}` shows the acts")
    return list(tables.values())


def _apply(knobs: Sequence[Knob], values: Sequence[str], topology: Topology) -> Topology:
    for each, value in zip(knobs, values, strict=True):
        topology = each.set(topology, value)
    return topology


def _lines(table: Table, width: int) -> Iterator[Line]:
    yield [Span(table.lab, "name"), Span(": "), Span(table.act, "name")]
    yield from ([Span(line, "title")] for line in textwrap.wrap(table.title, max(width, 40)))
    yield []
    short = functools.partial(shorten, short=shortest(table.interfaces))
    groups = table.groups()
    letters = [_letter(number) for number in range(len(table.axes))]
    for letter, axis in zip(letters, table.axes, strict=True):
        yield [Span(f"  {letter}  ", "mark"), Span(axis.name, "question"), Span(f" = {', '.join(axis.values)}")]
    if unsteady := table.unsteady():
        text = f"not compared, since the answers differ from run to run: {'; '.join(map(short, unsteady))}"
        yield from ([Span(f"  {line}", "mark")] for line in textwrap.wrap(text, max(width - 2, 40)))
    shared = [pair for pair in groups[0][0].answers if all(pair in came.answers for came, _, _ in groups)]
    outcomes = f"{len(groups)} different outcomes" if len(groups) > 1 else "one outcome"
    yield [Span(f"  {len(table.points)} combination{'s' * (len(table.points) != 1)}, {outcomes}", "mark")]
    if shared and len(groups) > 1:
        yield []
        yield [Span("  in all of them", "name")]
        yield from _answers(groups[0][0], short, width, only=shared)
    columns = [_column(table, number) for number in range(len(table.axes))]
    for came, patterns, count in groups:
        yield []
        head: Line = [Span("  ")]
        for letter, column in zip(letters, columns, strict=True):
            head += [Span(f"{letter:<{column}}  ", "mark")]
        yield [*head, Span(f"  {count} combination{'s' if count != 1 else ''}", "name")]
        for pattern in patterns:
            cells = zip(_cells(table, pattern), columns, strict=True)
            yield [Span("  " + "  ".join(f"{text:<{column}}" for text, column in cells), "path")]
        yield from _answers(came, short, width, without=shared if len(groups) > 1 else ())
        if came.status != "passed":
            yield [Span(f"    {came.status}: ", came.status), Span(came.reason)]
    yield []
    yield from ([Span(line)] for line in textwrap.wrap(table.sentence(), max(width, 40), break_on_hyphens=False))


def _answers(
    came: Outcome,
    short: Callable[[str], str],
    width: int,
    *,
    only: Sequence[tuple[str, str]] | None = None,
    without: Sequence[tuple[str, str]] = (),
) -> Iterator[Line]:
    for pair, told in dict.fromkeys(zip(came.answers, came.told, strict=True)):
        if pair in without or (only is not None and pair not in only):
            continue
        # What a program was told and said has paths of files in it.
        write = str if pair[0].startswith("run ") else short
        question, answer = write(pair[0]), write(told).partition("\n")[0]
        if len(question) + len(answer) + 8 <= width:
            yield [Span("    ? ", "mark"), Span(question, "question"), Span(": ", "mark"), Span(answer, "answer")]
        else:
            yield [Span("    ? ", "mark"), Span(question, "question")]
            yield [Span(" " * 8), Span(textwrap.shorten(answer, max(width - 8, 40), placeholder=" ..."), "answer")]


def _letter(number: int) -> str:
    return _LETTERS[number] if number < len(_LETTERS) else f"{_LETTERS[number // 26 - 1]}{_LETTERS[number % 26]}"


def _cells(table: Table, pattern: Pattern) -> list[str]:
    return [
        "*" if len(fitting) == len(axis.values) else ",".join(axis.values[value] for value in sorted(fitting))
        for axis, fitting in zip(table.axes, pattern, strict=True)
    ]


def _column(table: Table, number: int) -> int:
    return max(len(_cells(table, pattern)[number]) for _, patterns, _ in table.groups() for pattern in patterns)
