"""``python -m benchmarks``: run them, tell the medians, write the page and the JSON."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import capture, experiment, injection, machine, query, scale, star, startup, table
from benchmarks.measure import Case, Measured, lowest_first, measure
from benchmarks.program import ROOT
from benchmarks.scale import Scale
from pktlab.frames import dissect

BENCHMARKS = {
    "star": star.cases,
    "capture": capture.cases,
    "injection": injection.cases,
    "query": query.cases,
    "experiment": experiment.cases,
    "start-up": startup.cases,
}
PAGE = ROOT / "docs/benchmarks.md"


def chosen(names: list[str], size: Scale) -> Iterator[Case]:
    """Yield the cases of some benchmarks, or of all."""
    # Before any of them fills a namespace with interfaces, at which Scapy looks when it is imported.
    dissect.load()
    for name, cases in BENCHMARKS.items():
        if not names or name in names:
            yield from cases(size)


def told(measured: Measured) -> str:
    """Return a case as lines for a terminal."""
    lines = [measured.case.title]
    for outcome in lowest_first(measured):
        words = []
        for metric in measured.case.metrics:
            value, ratio = outcome.median(metric.name), measured.ratio(outcome, metric.name)
            if value is not None:
                words.append(f"{metric.name} {value:,.4g} {metric.unit}" + (f" (ratio {ratio:.2f})" if ratio else ""))
        lines.append(f"  {outcome.name:<28} {', '.join(words) or outcome.skipped or 'failed: ' + outcome.failed}")
    return "\n".join(lines)


def main() -> int:
    """Run what the command line asks for; 1 if pktlab itself failed at anything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds, less than a minute")
    parser.add_argument("--rounds", type=int, help="how often each contender runs")
    parser.add_argument("--only-pktlab", action="store_true", help="leave out the peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the page (docs/{PAGE.name} by make bench)")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    size = scale.QUICK if wanted.quick else scale.FULL
    facts = machine.described()
    results = []
    for case in chosen(wanted.names, size):
        rounds = wanted.rounds or size.rounds
        results.append(measure(case, rounds=rounds, budget=size.budget, only_ours=wanted.only_pktlab))
        print(told(results[-1]), flush=True)  # noqa: T201
    command = shlex.join(["python", "-m", "benchmarks", *wanted.names, *(("--quick",) if wanted.quick else ())])
    if wanted.json:
        wanted.json.write_text(json.dumps(table.data(results, facts, command), indent=1) + "\n")
    if wanted.page:
        wanted.page.parent.mkdir(parents=True, exist_ok=True)
        before = wanted.page.read_text() if wanted.page.exists() else ""
        wanted.page.write_text(table.page(results, facts, command, before))
    return int(any(outcome.failed for measured in results for outcome in measured.outcomes[:1]))


if __name__ == "__main__":
    sys.exit(main())
