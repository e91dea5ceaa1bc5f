"""A table of combinations and answers: which combinations came to the same, and which of the settings decide."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pktlab.act import ActRecord, Observation

VERSION = 1
Point = tuple[int, ...]
# For each setting the values that fit, by their numbers.
Pattern = tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting and the values that it was given."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act came to: each question with its answer as JSON data, and why it ended where it did not reach its
    last question. `told` has the same answers for people, and takes no part in comparing.
    """

    answers: tuple[tuple[str, str], ...]
    status: str = "passed"
    reason: str = ""
    told: tuple[str, ...] = field(default=(), compare=False)

    def less(self, questions: set[str]) -> Outcome:
        """Return it without some of the questions."""
        kept = [number for number, (question, _) in enumerate(self.answers) if question not in questions]
        answers = tuple(self.answers[number] for number in kept)
        return Outcome(answers, self.status, self.reason, tuple(self.told[number] for number in kept))


def outcome(record: ActRecord) -> Outcome:
    """Return what a record comes to, without what differs from run to run."""
    return Outcome(
        tuple((each.question, json.dumps(_lasting(each), sort_keys=True)) for each in record.observations),
        record.status,
        record.reason if record.status != "passed" else "",
        tuple(each.text or str(each.answer) for each in record.observations),
    )


def _by_question(came: Outcome) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for question, answer in came.answers:
        found.setdefault(question, []).append(answer)
    return found


def _lasting(observation: Observation) -> Any:
    """An answer without the numbers of frames, and of what a program printed only whether it succeeded."""
    if observation.question.startswith("frames of ") and isinstance(observation.answer, list):
        return len(observation.answer)
    if observation.question.startswith("run ") and isinstance(observation.answer, dict):
        return observation.answer.get("returncode")
    return observation.answer


@dataclass(slots=True)
class Table:
    """An act under every combination of values. `points` has the outcome of each, by the numbers of its values.

    `again` has outcomes of combinations that were run once more. A question whose answer differs between two runs of
    one combination, such as about a MAC that the kernel draws by lot, is not compared. `interfaces` are all that the
    act has, in any combination.
    """

    lab: str
    act: str
    title: str
    axes: list[Axis]
    points: dict[Point, Outcome] = field(default_factory=dict)
    again: list[tuple[Point, Outcome]] = field(default_factory=list)
    interfaces: dict[str, None] = field(default_factory=dict)

    def unsteady(self) -> list[str]:
        """Return the questions that are not compared."""
        found: dict[str, None] = {}
        for point, came in self.again:
            first, second = (_by_question(each) for each in (self.points[point], came))
            found |= {question: None for question in first | second if first.get(question) != second.get(question)}
        return list(found)

    def compared(self) -> dict[Point, Outcome]:
        """Return the outcomes with the questions that are compared."""
        unsteady = set(self.unsteady())
        return {point: came.less(unsteady) for point, came in self.points.items()} if unsteady else self.points

    def groups(self) -> list[tuple[Outcome, list[Pattern], int]]:
        """Return each outcome with the patterns of the combinations that come to it, and how many these are."""
        found: dict[Outcome, set[Point]] = {}
        compared = self.compared()
        for point in sorted(compared):
            found.setdefault(compared[point], set()).add(point)
        sizes = [len(axis.values) for axis in self.axes]
        return [(each, cover(points, sizes), len(points)) for each, points in found.items()]

    def deciding(self) -> list[int]:
        """Return the settings that decide, by their numbers: two combinations that differ in nothing else come to
        different outcomes.
        """
        found = []
        compared = self.compared()
        for number in range(len(self.axes)):
            seen: dict[Point, Outcome] = {}
            for point, came in compared.items():
                if seen.setdefault((*point[:number], *point[number + 1 :]), came) != came:
                    found.append(number)
                    break
        return found

    def larger(self) -> list[tuple[int, int]]:
        """Return the pairs of deciding settings, that of all interfaces and that of one, of which the larger is all
        that matters in this table.
        """
        deciding = self.deciding()
        return [
            (every, one)
            for every, one in itertools.permutations(deciding, 2)
            if _pair(self.axes[every].name, self.axes[one].name) and self._only_larger(every, one)
        ]

    def _only_larger(self, every: int, one: int) -> bool:
        seen: dict[tuple[Any, ...], Outcome] = {}
        for point, came in self.compared().items():
            try:
                values = [int(self.axes[number].values[point[number]]) for number in (every, one)]
            except ValueError:
                return False
            rest = tuple(value for number, value in enumerate(point) if number not in (every, one))
            if seen.setdefault((rest, max(values)), came) != came:
                return False
        return True

    def sentence(self) -> str:
        """Say in words which settings decide, and no more than the table shows: what was not compared is said too."""
        total = len(self.points)
        names = [axis.name for axis in self.axes]
        unknown = sum(came.status == "inconclusive" for came in self.points.values())
        if unknown:
            return f"What decides is not known: frames were lost in {unknown} of {_count(total, 'combination')}."
        deciding = self.deciding()
        idle = [name for number, name in enumerate(names) if number not in deciding]
        if left := len(self.unsteady()):
            asked = f"{left} questions could not be compared: their"
            if left == 1:
                asked = "1 question could not be compared: its"
            apart = f"{asked} answers differ from run to run of one combination."
            if not deciding:
                return f"Of what was compared none decides; {apart}"
        elif not deciding:
            whole = "the answers are the same" if total > 1 else "there is nothing to compare"
            return f"None of these decides: {whole} in {_count(total, 'combination')}."
        larger = self.larger()
        paired = {number for pair in larger for number in pair}
        parts = [f"the larger of {names[every]} and {names[one]}" for every, one in larger]
        parts = [names[number] for number in deciding if number not in paired] + parts
        told = f"{'; '.join(parts)}." + (f" What does not: {', '.join(idle)}." if idle else "")
        return f"What decides, of what was compared: {told} {apart}" if left else f"What decides: {told}"

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON data, each combination in full."""
        names = [axis.name for axis in self.axes]
        return {
            "lab": self.lab,
            "act": self.act,
            "settings": [{"name": axis.name, "values": list(axis.values)} for axis in self.axes],
            "deciding": [names[number] for number in self.deciding()],
            "larger_of": [[names[every], names[one]] for every, one in self.larger()],
            "sentence": self.sentence(),
            "not_compared": self.unsteady(),
            "combinations": [
                {
                    "values": {axis.name: axis.values[value] for axis, value in zip(self.axes, point, strict=True)},
                    "status": came.status,
                    "reason": came.reason,
                    "answers": [
                        {"question": question, "answer": json.loads(answer), "text": told}
                        for (question, answer), told in zip(came.answers, came.told, strict=True)
                    ],
                }
                for point, came in sorted(self.points.items())
            ],
        }


def as_json(tables: Sequence[Table]) -> dict[str, Any]:
    """Return the tables of several acts as JSON data."""
    return {"version": VERSION, "tables": [table.as_json() for table in tables]}


def cover(points: set[Point], sizes: Sequence[int]) -> list[Pattern]:
    """Return few patterns that together fit exactly these points, none of them needless, the widest first."""
    left = set(points)
    chosen: list[Pattern] = []
    while left:
        seed = min(left)
        grown = [_grow(seed, points, order, sizes) for order in _orders(len(sizes))]
        best = max(grown, key=lambda pattern: (len(left.intersection(_fits(pattern))), _size(pattern)))
        chosen.append(best)
        left.difference_update(_fits(best))
    for pattern in sorted(chosen, key=_size):
        others = {point for each in chosen if each != pattern for point in _fits(each)}
        if others.issuperset(_fits(pattern)):
            chosen.remove(pattern)
    return sorted(chosen, key=lambda pattern: (-_size(pattern), [sorted(values) for values in pattern]))


def _orders(count: int) -> Iterator[list[int]]:
    numbers = list(range(count))
    for start in numbers:
        yield numbers[start:] + numbers[:start]
        yield numbers[start::-1] + numbers[:start:-1]


def _grow(seed: Point, points: set[Point], order: Sequence[int], sizes: Sequence[int]) -> Pattern:
    """Let one point grow into a pattern that fits only `points`, one setting after the other."""
    pattern = [frozenset({value}) for value in seed]
    for number in order:
        for value in range(sizes[number]):
            slab = [*pattern[:number], frozenset({value}), *pattern[number + 1 :]]
            if value not in pattern[number] and points.issuperset(itertools.product(*slab)):
                pattern[number] |= {value}
    return tuple(pattern)


def _fits(pattern: Pattern) -> Iterator[Point]:
    return itertools.product(*pattern)


def _size(pattern: Pattern) -> int:
    size = 1
    for values in pattern:
        size *= len(values)
    return size


def _pair(every: str, one: str) -> bool:
    """Whether these are the sysctls of all interfaces and of a single one, otherwise the same."""
    first, second = every.split("."), one.split(".")
    if len(first) < 5 or first[:3] != second[:3] or first[-1] != second[-1]:
        return False
    return first[2] == "conf" and first[3:-1] == ["all"] and second[3:-1] not in (["all"], ["default"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}s" if number > 1 else f"the one {noun}"
