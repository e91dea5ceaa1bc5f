"""Which of the questions of an act are put to the learner: all of them, or the few that say most about the packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from pktlab.act import ActRecord
from pktlab.learn.question import Question, Spot, question

# What says most about where packets go comes first; what a program printed or a table held, after it.
_WORTH = {
    "path": 0,
    "where": 0,
    "ping": 1,
    "rewrites": 1,
    "fdb": 2,
    "count": 2,
    "owner": 2,
    "neighbours": 3,
    "conntrack": 3,
}
_LEAST = 4
MOST, OF_ONE_KIND, OF_ONE_QUESTION = 5, 3, 2
# Another case of a parametrized act asks the same again.
MOST_AGAIN = 2


def questions(
    record: ActRecord, spots: Sequence[Spot] = (), *, dull: Container[int] = (), few: bool = False, again: bool = False
) -> list[Question]:
    """Return what to ask of an act that was rehearsed, in the order in which it asks.

    `spots` are where in the lab each observation was made; at `dull` lines it only waits. With `few`
    at most MOST are chosen, but one at least, and fewer of an act that comes `again` with other parameters.
    """
    turns: Counter[str] = Counter()
    at: Counter[int] = Counter()
    asked: set[object] = set()
    found: list[tuple[int, Question]] = []
    for index, observation in enumerate(record.observations):
        spot = spots[index] if index < len(spots) else Spot()
        turn, nth = turns[observation.question], at[spot.line]
        made = question(observation, turn, record.capture.interfaces, spot, nth)
        turns[observation.question] += 1
        at[spot.line] += 1
        # What a loop asks again, with nothing changed that the learner could see, is no new question.
        known = (observation.question, spot.line, spot.values)
        if made is not None and spot.line not in dull and (known not in asked or not spot.line):
            found.append((index, made))
            asked.add(known)
    if not few:
        return [each for _index, each in found]
    chosen: list[tuple[int, Question]] = []
    kinds: Counter[str] = Counter()
    for index, each in sorted(found, key=lambda pair: (pair[1].turn > 0, _WORTH.get(pair[1].topic, _LEAST), pair[0])):
        new = kinds[each.topic] < OF_ONE_KIND and kinds[each.asked] < OF_ONE_QUESTION
        if (new and len(chosen) < (MOST_AGAIN if again else MOST)) or not chosen:
            chosen.append((index, each))
            kinds[each.topic] += 1
            kinds[each.asked] += 1
    return [each for _index, each in sorted(chosen, key=lambda pair: pair[0])]
