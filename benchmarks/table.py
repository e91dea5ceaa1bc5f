"""The results as a page for people and as JSON for programs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Measured, Metric, Outcome, lowest_first

_HEAD = """\
# Benchmarks

pktlab and its peers doing the same work in turn, in one run: each row is the median of its rounds, and the ratio is
pktlab's median as a part of the peer's, 0.50 being half of its time and 2.00 twice its rate. What every contender did
is checked. All of it happens inside sandboxes. Made by `{command}`.
"""


def page(results: Sequence[Measured], machine: dict[str, str], command: str) -> str:
    """Return the page."""
    lines = [_HEAD.format(command=command), "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine.items()]
    for measured in results:
        lines += ["", f"## {measured.case.title[:1].upper()}{measured.case.title[1:]}", ""]
        if measured.case.note:
            lines += [measured.case.note, ""]
        lines += _table(measured)
    return "\n".join(lines) + "\n"


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
