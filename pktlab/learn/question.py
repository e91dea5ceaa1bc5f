"""A question to the learner, made of an observation of an act: what is asked, what can be answered, and the truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pktlab.act import Observation

# How an answer looks: interfaces in order, a set of names, one name, yes or no, a number. Of "one", the truth is all
# the names that are as good.
Kind = Literal["path", "set", "one", "yes", "number"]
Truth = list[str] | bool | int

# What headers have that labs rewrite, by Wireshark's names, to choose from.
_ADDRESSES = ("eth.src", "eth.dst", "ip.src", "ip.dst", "ip.ttl")
FIELDS = (*_ADDRESSES, "udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport")
_MOST = 20  # more than that nobody foretells, and one more or less is no insight


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an act asks: the line of the lab, and what the variables of the loops around it are, as text.

    `owners` says of each MAC that it looked at which interfaces have it at that moment.
    """

    line: int = 0
    values: tuple[tuple[str, str], ...] = ()
    owners: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What the learner is asked before the act runs.

    `topic` says what of (``path``, ``ping``, ...) and `subject` the rest of the observation's own words, such as the
    pattern; `place` where, if that is not part of them. `asked` and `turn` find the observation in another run of the
    act: its words, and how many of the same words came before it; where words hold what is drawn by lot, `spot` and
    `nth`, the line and how many were made there before. `options` are the names to choose from.
    """

    topic: str
    kind: Kind
    subject: str
    place: str
    asked: str
    turn: int
    options: tuple[str, ...] = ()
    spot: Spot = Spot()
    nth: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What finds the observation."""
        return self.asked, self.turn


_NO_SPOT = Spot()
_NEIGHBOURS = "neighbours of "


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the words of an observation are read, and what is asked of its answer; `truth` is None if nothing can be."""

    pattern: str
    topic: str
    kind: Kind
    truth: Callable[[Any], Truth | None]
    chosen: str = ""  # what there is to choose from: interfaces or fields


def _ok(answer: Any) -> bool | None:
    return bool(answer["ok"]) if isinstance(answer, dict) and "ok" in answer else None


def _path(answer: Any) -> list[str] | None:
    return list(answer) if _names(answer) else None


def _one_way(answer: Any) -> list[str] | None:
    """Of several packets the path, where all went the same way."""
    if not isinstance(answer, list) or not all(map(_names, answer)):
        return None
    if not answer:
        return []
    return list(answer[0]) if all(each == answer[0] for each in answer) else None


def _union(answer: Any) -> list[str] | None:
    if not isinstance(answer, list) or not all(map(_names, answer)):
        return None
    return sorted({name for path in answer for name in path})


def _names(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(name, str) for name in answer)


def _count(answer: Any) -> int | None:
    found = len(answer) if isinstance(answer, list) else answer
    return found if isinstance(found, int) and not isinstance(found, bool) and found <= _MOST else None


def _fields(answer: Any) -> list[str] | None:
    if not isinstance(answer, list):
        return None
    return sorted({name for change in answer for name in change["fields"]})


def _knows(answer: Any) -> bool | None:
    return any(entry["mac"] for entry in answer) if isinstance(answer, list) else None


def _learned(answer: Any) -> list[str] | None:
    if not isinstance(answer, list):
        return None
    return sorted({entry["dev"] for entry in answer if entry["state"] in ("learned", "static")})


def _up(answer: Any) -> bool | None:
    """Of one interface, whether it is up; of a namespace's, nothing that a learner would guess."""
    return answer[0]["state"] in ("UP", "UNKNOWN") if isinstance(answer, list) and len(answer) == 1 else None


def _done(answer: Any) -> bool | None:
    return answer["returncode"] == 0 if isinstance(answer, dict) and "returncode" in answer else None


def _attached(answer: Any) -> bool | None:
    return "code" not in answer if isinstance(answer, dict) else None


_SHAPES = (
    _Shape(r"path of (?P<subject>.+)", "path", "path", _path, "interfaces"),
    _Shape(r"paths of (?P<subject>.+)", "path", "path", _one_way, "interfaces"),
    _Shape(r"paths of (?P<subject>.+)", "where", "set", _union, "interfaces"),
    _Shape(r"where (?P<subject>.+) was seen", "where", "set", _path, "interfaces"),
    _Shape(r"ping (?P<subject>\S+)(?P<place>.*)", "ping", "yes", _ok),
    _Shape(r"rewrites of (?P<subject>.+)", "rewrites", "set", _fields, "fields"),
    _Shape(r"how many (?P<subject>.+?)(?: on (?P<place>[\w.-]+/\S+))?", "count", "number", _count),
    _Shape(r"frames of (?P<subject>.+?)(?: on (?P<place>[\w.-]+/\S+))?", "frames", "number", _count),
    _Shape(r"neighbours of (?P<subject>.+)", "neighbours", "yes", _knows),
    _Shape(r"fdb of (?P<subject>.+)", "fdb", "set", _learned, "ports"),
    _Shape(r"conntrack of (?P<subject>.+)", "conntrack", "number", _count),
    _Shape(r"links of (?P<subject>.+/.+)", "up", "yes", _up),
    _Shape(r"links of (?P<subject>[^/]+)", "links", "number", _count),
    _Shape(r"routes of (?P<subject>.+)", "routes", "number", _count),
    _Shape(r"cni (?P<subject>.+)", "cni", "yes", _attached),
    _Shape(r"run (?P<subject>.+) in (?P<place>\S+)", "run", "yes", _done),
)


def shapes(observation: Observation) -> list[tuple[_Shape, re.Match[str], Truth]]:
    """Return the ways to ask for what was observed, the best first, each with the true answer."""
    found = []
    for shape in _SHAPES:
        match = re.fullmatch(shape.pattern, observation.question, re.DOTALL)
        truth = shape.truth(observation.answer) if match else None
        if match and truth is not None:
            found.append((shape, match, truth))
    return found


def question(
    observation: Observation, turn: int, interfaces: Sequence[str], spot: Spot = _NO_SPOT, nth: int = 0
) -> Question | None:
    """Make a question of an observation; None where it is none that anybody could foretell.

    `turn` is how often the same was asked before, `interfaces` those that the act has, `spot` where it asks, `nth`
    how often it asked there before.
    """
    if (owner := _owner(observation, spot)) is not None:
        subject, place = observation.question.removeprefix(_NEIGHBOURS), str(observation.answer[0]["address"])
        options = tuple(dict.fromkeys([*(each for each in interfaces if not each.endswith("/lo")), *owner]))
        return Question("owner", "one", subject, place, observation.question, turn, options, spot, nth)
    for shape, match, truth in shapes(observation):
        words = match.groupdict()
        options = _options(shape.chosen, observation, truth, interfaces)
        subject, place = words["subject"].strip(), (words.get("place") or "").strip()
        return Question(shape.topic, shape.kind, subject, place, observation.question, turn, options, spot, nth)
    return None


def _owner(observation: Observation, spot: Spot) -> list[str] | None:
    """Of a neighbour table with one entry, the interfaces that have its MAC; none where it has no MAC as yet."""
    entries = observation.answer
    if not observation.question.startswith(_NEIGHBOURS) or not isinstance(entries, list) or len(entries) != 1:
        return None
    if not entries[0]["mac"]:
        return []
    return list(dict(spot.owners).get(entries[0]["mac"], ())) or None


def truth(asked: Question, observation: Observation, spot: Spot = _NO_SPOT) -> Truth | None:
    """Return the true answer in a run's own observation; None where it is of another shape than at the rehearsal."""
    if asked.topic == "owner":
        return _owner(observation, spot)
    for shape, _match, found in shapes(observation):
        if (shape.topic, shape.kind) == (asked.topic, asked.kind):
            return found
    return None


def _options(chosen: str, observation: Observation, truth: Truth, interfaces: Sequence[str]) -> tuple[str, ...]:
    if chosen == "interfaces" and isinstance(truth, list):
        return tuple(dict.fromkeys([*interfaces, *truth]))
    if chosen == "fields" and isinstance(truth, list):
        return tuple(dict.fromkeys([*FIELDS, *truth]))
    if chosen == "ports":
        return tuple(sorted({entry["dev"] for entry in observation.answer}))
    return ()
