"""An answer compared with what the network did, hop by hop where it is a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pktlab.act import ActRecord, Observation
from pktlab.learn.answer import short, written
from pktlab.learn.question import Question, Truth, truth


@dataclass(frozen=True, slots=True)
class Sighting:
    """A frame that an observation is about: where and in which direction it was seen, and what it was.

    `time` is in seconds since the first frame of the act.
    """

    number: int
    interface: str
    direction: str
    time: float
    words: str


@dataclass(frozen=True, slots=True)
class Grade:
    """What became of a prediction.

    `given` is None where it was skipped; `true` is None where the network was not asked this time. `wrong` is the
    first hop that is wrong, counted from 1, of a path; 0 otherwise.
    """

    question: Question
    given: Truth | None
    true: Truth | None
    hints: int = 0
    wrong: int = 0
    observation: Observation | None = None
    sightings: tuple[Sighting, ...] = field(default=())

    @property
    def right(self) -> bool:
        """Whether it came true."""
        return self.given is not None and self.given == self.true

    def hops(self) -> list[tuple[str, str]]:
        """What was foretold and what was seen, hop by hop; empty where a path has ended."""
        given = self.given if isinstance(self.given, list) else []
        seen = self.true if isinstance(self.true, list) else []
        return list(zip_longest(given, seen, fillvalue=""))

    def as_json(self) -> dict[str, Any]:
        """Return the grade as JSON data: what was asked, in the act's words, and the answers as they can be typed."""
        options = [short(self.question.options)[option] for option in self.question.options]
        return {
            "question": self.question.asked,
            "turn": self.question.turn + 1,
            "kind": self.question.kind,
            "options": options,
            "given": None if self.given is None else written(self.question, self.given),
            "true": None if self.true is None else written(self.question, self.true),
            "right": self.right,
            "first_wrong_hop": self.wrong,
            "hints": self.hints,
        }


def grade(
    asked: Question,
    given: Truth | None,
    record: ActRecord,
    sightings: Sequence[Sequence[Sighting]] = (),
    *,
    hints: int = 0,
) -> Grade:
    """Grade a prediction by the record of the run, where `sightings` are those of each of its observations."""
    turns: Counter[str] = Counter()
    for index, observation in enumerate(record.observations):
        if (observation.question, turns[observation.question]) == asked.key:
            seen = tuple(sightings[index]) if index < len(sightings) else ()
            true = truth(asked, observation)
            return Grade(asked, given, true, hints, _first_wrong(asked, given, true), observation, seen)
        turns[observation.question] += 1
    return Grade(asked, given, None, hints)


def _first_wrong(asked: Question, given: Truth | None, true: Truth | None) -> int:
    if asked.kind != "path" or not isinstance(given, list) or not isinstance(true, list):
        return 0
    pairs = enumerate(zip_longest(given, true), 1)
    return next((hop for hop, (foretold, seen) in pairs if foretold != seen), 0)


def score(grades: Iterable[Grade]) -> tuple[int, int]:
    """Return how many predictions came true, and how many could: those that the network answered."""
    judged = [each for each in grades if each.true is not None]
    return sum(each.right for each in judged), len(judged)
