"""Patterns as regular expressions over the bytes of a frame: what Scapy would find, without asking Scapy.

Each pattern becomes two expressions. *Possible* holds for every frame that Scapy would find the pattern in, and for
few others; a frame that it rejects is done with. *Certain* holds only where Scapy finds the pattern: headers that
follow each other as usual, with lengths that fit. What is possible but not certain (lengths that contradict each
other, tunnels in tunnels, a layer or field unknown here) is left to Scapy itself.

The header that comes next is chosen as Scapy chooses it, by the bindings of its layers: they are given as edges.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import compress, count, repeat
from operator import add

from pktlab.frames.match.certain import certain
from pktlab.frames.match.grammar import Edge, Grammar, Layer
from pktlab.frames.match.layout import literal
from pktlab.frames.match.possible import possible

__all__ = ["Buffer", "Edge", "Grammar", "Layer", "Matcher"]

Buffer = bytes | bytearray | memoryview


class Matcher:
    """A pattern made ready for bytes."""

    def __init__(self, pattern: Sequence[Layer], grammar: Grammar) -> None:
        self._pattern = tuple(pattern)
        self._grammar = grammar
        self._ways: list[Callable[..., object]] = []
        self._more = certain(self._pattern, grammar)

    @cached_property
    def possible(self) -> Callable[..., object]:
        """Returns None for a frame that does not match; takes a buffer, and where the frame starts and ends in it."""
        first = self._pattern[0]
        if first.name in ("Raw", "Padding"):  # which may be anywhere
            return re.compile(literal(first.load or b"").encode(), re.DOTALL).search
        return _match(possible(self._pattern, self._grammar))

    def certain(self, data: Buffer, start: int = 0, end: int = sys.maxsize) -> bool:
        """Tell whether a frame matches for sure."""
        for match in self._ways:
            if match(data, start, end) is not None:
                return True
        for regex in self._more:  # made when they are needed: mostly the first few will do
            match = _match(regex)
            self._ways.append(match)
            if match(data, start, end) is not None:
                return True
        return False

    def scan(
        self, buffer: Buffer, offsets: Sequence[int], lengths: Sequence[int], ask: Callable[[bytes], bool]
    ) -> Iterator[int]:
        """Yield which of the frames in a buffer match, counted from 0; `ask` decides where their bytes cannot."""
        found = map(self.possible, repeat(buffer), offsets, map(add, offsets, lengths))
        for index in compress(count(), found):
            start = offsets[index]
            end = start + lengths[index]
            if self.certain(buffer, start, end) or ask(bytes(buffer[start:end])):
                yield index


def _match(regex: str | None) -> Callable[..., object]:
    return re.compile((regex or "(?!)").encode(), re.DOTALL).match
