"""What a pattern wants, and what follows what in a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pktlab.frames.match.layout import CONDITIONS, Header, Ranges

Selector = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a pattern: its name, the values wanted of its fields, and of Raw the bytes.

    `whole` tells that this is all; else there are more conditions, which only Scapy can check.
    """

    name: str
    fields: Mapping[str, Ranges] = field(default_factory=lambda: MappingProxyType({}))
    load: bytes | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """A binding: which layer follows where fields have these values; None where that cannot be told."""

    selector: Selector | None
    target: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """What follows what, by Scapy's bindings.

    `edges` are in the order in which Scapy tries them; `leads` names the layers that are, or may hold, the one that
    the pattern begins with.
    """

    edges: Mapping[str, Sequence[Edge]]
    leads: frozenset[str]


def wanted(layer: Layer) -> Header:
    """Return the header with what the pattern wants of it."""
    header = Header(layer.name)
    conditions = CONDITIONS.get(layer.name, {})
    for name, ranges in layer.fields.items():
        types = conditions.get(name)
        if types is None:
            header.require(name, ranges)
        elif any(low <= 0 <= high for low, high in ranges):
            there = Header(layer.name).require("type", types).require(name, ranges)
            missing = Header(layer.name).require("type", others(types))
            header.ahead(f"(?={there.prefix()}|{missing.prefix()})")
        else:
            header.require("type", types).require(name, ranges)
    return header


def choose(header: Header, selectors: Sequence[Selector]) -> None:
    """Let one of these selectors fit."""
    merged = _merged(selectors)
    if len(merged) == 1:
        for name, values in merged[0].items():
            header.require(name, values)
    else:
        header.ahead(f"(?={_fitting(header.layer, merged)})")


def fitting(layer: str, selectors: Sequence[Selector]) -> str:
    """Return the expression for as much of a header as tells that one of these selectors fits."""
    return _fitting(layer, _merged(selectors))


def _merged(selectors: Sequence[Selector]) -> list[dict[str, Ranges]]:
    """Return the selectors, those that differ in one field only made into one."""
    singles: dict[str, list[int]] = {}
    rest: list[dict[str, Ranges]] = []
    for selector in selectors:
        if len(selector) == 1:
            ((name, value),) = selector.items()
            singles.setdefault(name, []).append(value)
        elif not any(selector.get(name) in values for name, values in singles.items()):
            rest.append({name: ((value, value),) for name, value in selector.items()})
    return [*({name: tuple((v, v) for v in sorted(set(values)))} for name, values in singles.items()), *rest]


def _fitting(layer: str, merged: Sequence[Mapping[str, Ranges]]) -> str:
    ways = []
    for selector in merged:
        header = Header(layer)
        for name, ranges in selector.items():
            header.require(name, ranges)
        ways.append(header.prefix())
    return "|".join(ways)


def others(ranges: Ranges, top: int = 255) -> Ranges:
    """Return what is in none of these ranges, which come in order."""
    out, start = [], 0
    for low, high in [*ranges, (top + 1, top + 1)]:
        if start < low:
            out.append((start, low - 1))
        start = high + 1
    return tuple(out)
