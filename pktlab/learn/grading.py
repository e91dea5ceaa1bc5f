"""An answer compared with what the network did, hop by hop where it is a path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pktlab.act import ActRecord, Observation
from pktlab.learn.answer import short, written
from pktlab.learn.question import Question, Spot, Truth, truth


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
        if self.question.kind == "one" and isinstance(self.given, list) and isinstance(self.true, list) and self.given:
            return self.given[0] in self.true
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
    spots: Sequence[Spot] = (),
    hints: int = 0,
) -> Grade:
    """Grade a prediction by the record of the run, where `sightings` and `spots` are those of its observations."""
    index = _same(asked, record)
    if index < 0:
        index = _at_its_spot(asked, record, spots)
    if index < 0:
        return Grade(asked, given, None, hints)
    observation = record.observations[index]
    seen = tuple(sightings[index]) if index < len(sightings) else ()
    true = truth(asked, observation, spots[index] if index < len(spots) else Spot())
    return Grade(asked, given, true, hints, _first_wrong(asked, given, true), observation, seen)


def _same(asked: Question, record: ActRecord) -> int:
    """The observation with the same words, of several the one of the same turn; -1 for none."""
    turn = 0
    for index, observation in enumerate(record.observations):
        if observation.question == asked.asked:
            if turn == asked.turn:
                return index
            turn += 1
    return -1


def _at_its_spot(asked: Question, record: ActRecord, spots: Sequence[Spot]) -> int:
    """The observation of the same kind that was made at the same place; -1 for none."""
    there = [index for index, spot in enumerate(spots) if spot.line == asked.spot.line > 0]
    if asked.nth >= len(there) or there[asked.nth] >= len(record.observations):
        return -1
    found = there[asked.nth]
    return found if truth(asked, record.observations[found], spots[found]) is not None else -1


def _first_wrong(asked: Question, given: Truth | None, true: Truth | None) -> int:
    if asked.kind != "path" or not isinstance(given, list) or not isinstance(true, list):
        return 0
    pairs = enumerate(zip_longest(given, true), 1)
    return next((hop for hop, (foretold, seen) in pairs if foretold != seen), 0)


def score(grades: Iterable[Grade]) -> tuple[int, int]:
    """Return how many predictions came true, and how many could: those that the network answered."""
    judged = [each for each in grades if each.true is not None]
    return sum(each.right for each in judged), len(judged)
