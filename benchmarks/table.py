"""The results as a page for people and as JSON for programs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Measured, Metric, Outcome, lowest_first

_HEAD = """\
# Benchmarks

pktlab and its peers doing the same work in turn, each section in one run: each row is the median of its rounds, and the
ratio is pktlab's median as a part of the peer's, 0.50 being half of its time and 2.00 twice its rate. What every
contender did is checked. All of it happens inside sandboxes. Made by `make bench`, or by the command above a section.
"""


def page(results: Sequence[Measured], machine: dict[str, str], command: str, before: str = "") -> str:
    """Return the page; what an earlier one has of other benchmarks stays, if it was made on the same machine."""
    rows = [f"| {name} | {value} |" for name, value in machine.items()]
    start = "\n".join([_HEAD, "| | |", "|---|---|", *rows]) + "\n"
    lasting = {row for row in rows if not row.startswith("| load before |")}
    sections = _sections(before) if lasting <= {*before.splitlines()} else {}
    for measured in results:
        lines = ["", f"## {measured.case.title[:1].upper()}{measured.case.title[1:]}", "", f"`{command}`", ""]
        if measured.case.note:
            lines += [measured.case.note, ""]
        sections[lines[1]] = "\n".join([*lines, *_table(measured)]) + "\n"
    return start + "".join(sections.values())


def _sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their headings, in their order."""
    parts = re.split(r"^\n(?=## )", text, flags=re.M)[1:]
    return {part.partition("\n")[0]: "\n" + part for part in parts}


def _table(measured: Measured) -> list[str]:
    metrics = measured.case.metrics
    heads = [cell for metric in metrics for cell in (f"{metric.name} ({metric.unit})", "ratio")]
    lines = ["| | " + " | ".join(heads) + " | rounds | |", "|---|" + "--:|" * (len(heads) + 1) + "---|"]
    for outcome in lowest_first(measured):
        if not outcome.rounds:
            why = f"skipped: {outcome.skipped}" if outcome.skipped else f"failed: {outcome.failed}"
            lines.append(f"| {outcome.name} |" + " |" * (len(heads) + 1) + f" {why} |")
            continue
        cells = [cell for metric in metrics for cell in (_figure(outcome, metric), _ratio(measured, outcome, metric))]
        lines.append(f"| {outcome.name} | " + " | ".join(cells) + f" | {len(outcome.rounds)} | {outcome.note} |")
    return lines


def _figure(outcome: Outcome, metric: Metric) -> str:
    value = outcome.median(metric.name)
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _ratio(measured: Measured, outcome: Outcome, metric: Metric) -> str:
    ratio = measured.ratio(outcome, metric.name)
    return "" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def data(results: Sequence[Measured], machine: dict[str, str], command: str) -> dict[str, Any]:
    """Return everything that was measured, round by round."""
    return {
        "version": 1,
        "command": command,
        "machine": machine,
        "cases": [
            {
                "benchmark": measured.case.benchmark,
                "title": measured.case.title,
                "metrics": [{"name": m.name, "unit": m.unit, "more": m.more} for m in measured.case.metrics],
                "contenders": [_contender(measured, outcome) for outcome in measured.outcomes],
            }
            for measured in results
        ],
    }


def _contender(measured: Measured, outcome: Outcome) -> dict[str, Any]:
    figures = {}
    for metric in measured.case.metrics:
        rounds = [each[metric.name] for each in outcome.rounds if metric.name in each]
        if rounds:
            ratio = measured.ratio(outcome, metric.name)
            figures[metric.name] = {"median": statistics.median(rounds), "rounds": rounds, "ratio": ratio}
    return {"name": outcome.name, "skipped": outcome.skipped, "failed": outcome.failed, "figures": figures}
