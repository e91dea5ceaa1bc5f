"""Contenders, run in turn for several rounds; medians and ratios of what they measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

OURS = "pktlab"
Figures = Mapping[str, float]


class Missing(Exception):
    """A peer is not installed, or cannot run here; the text says why."""


class Disturbed(Exception):
    """Something else on this machine got in the way, a storm in the backlog say: the round is run again."""


@dataclass(frozen=True)
class Metric:
    """What is measured: less is better for a time, more for a rate."""

    name: str
    unit: str
    more: bool = False


@dataclass(frozen=True)
class Contender:
    """One way to do the work. `run` does it once, checks what came of it and returns a figure for each metric."""

    name: str
    run: Callable[[], Figures]
    note: str = ""


@dataclass(frozen=True)
class Case:
    """The same work for all contenders; the first is pktlab."""

    benchmark: str
    title: str
    metrics: tuple[Metric, ...]
    contenders: tuple[Contender, ...]
    note: str = ""


@dataclass
class Outcome:
    """What a contender came to: figures by metric, a round each; or why there are none."""

    name: str
    note: str = ""
    rounds: list[Figures] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""
    spent: float = 0.0

    def median(self, metric: str) -> float | None:
        """Return the median of all rounds in which this was measured."""
        values = [figures[metric] for figures in self.rounds if metric in figures]
        return statistics.median(values) if values else None


@dataclass
class Measured:
    """A case with its outcomes, in the order of the contenders."""

    case: Case
    outcomes: list[Outcome]

    def ratio(self, outcome: Outcome, metric: str) -> float | None:
        """Return pktlab's median as a part of the peer's: 0.5 is half of its time, 2.0 twice its rate."""
        if any(each.name == metric and each.unit == "%" for each in self.case.metrics):
            return None
        ours, theirs = self.outcomes[0].median(metric), outcome.median(metric)
        return ours / theirs if ours is not None and theirs and outcome is not self.outcomes[0] else None


def measure(case: Case, *, rounds: int, budget: float, only_ours: bool = False) -> Measured:
    """Run the contenders in turn, round by round; one whose next round would exceed `budget` seconds sits out."""
    contenders = [each for each in case.contenders if not only_ours or each.name.startswith(OURS)]
    outcomes = [Outcome(each.name, each.note) for each in contenders]
    for _ in range(rounds):
        for contender, outcome in zip(contenders, outcomes, strict=True):
            last = outcome.spent / len(outcome.rounds) if outcome.rounds else 0.0
            if outcome.skipped or outcome.failed or outcome.spent + last > budget:
                continue
            began = time.monotonic()
            try:
                outcome.rounds.append(_undisturbed(contender.run))
            except Missing as missing:
                outcome.skipped = str(missing)
            except Exception as error:
                # A peer that breaks must not take the others' figures with it; it is named in the table.
                outcome.failed = f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
            outcome.spent += time.monotonic() - began
    return Measured(case, outcomes)


def _undisturbed(run: Callable[[], Figures], times: int = 3) -> Figures:
    for _ in range(times - 1):
        try:
            return run()
        except Disturbed:
            continue
    return run()


def lowest_first(measured: Measured) -> Iterator[Outcome]:
    """Yield the outcomes, pktlab first, then by the median of the first metric; those without figures last."""
    metric = measured.case.metrics[0]

    def place(outcome: Outcome) -> tuple[bool, float]:
        value = outcome.median(metric.name)
        return value is None, 0.0 if value is None else -value if metric.more else value

    yield measured.outcomes[0]
    yield from sorted(measured.outcomes[1:], key=place)
