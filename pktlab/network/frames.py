"""The frames of a recording as a sequence: columns in a storage, of which a `Frame` is made when it is looked at."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import le
from typing import overload

from pktlab.frame import IN, OUT, Frame
from pktlab.interface import Interface
from pktlab.kernel.storage import Storage, place, placed

# From a namespace's number and an ifindex to the interface.
Resolve = Callable[[int, int], Interface]


class Frames(Sequence[Frame]):
    """Frames in true order; `frames[0]` has the number 1. `packets` are their packets' numbers, 0 where not known.

    The order: within a namespace that of reading; between namespaces by time, raised to that of the frame read before
    in the same namespace if that is later. What was looked at by number is kept, so that it is the same object again.
    """

    def __init__(self, storage: Storage | None = None) -> None:
        self.storage = Storage() if storage is None else storage
        self.packets = array("I")
        self._rows = array("I")  # by frame
        self._numbers = array("I")  # by row
        self._places = array("I")  # by row: which of the interfaces
        self._interfaces: list[tuple[Interface, str]] = []
        self._known: dict[tuple[Interface, str], int] = {}
        self._latest: dict[int, int] = {}  # namespace -> the highest time
        self._made: dict[int, Frame] = {}
        self._longer: dict[int, int] = {}  # number -> its length on the wire, where not all of it was kept

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self._made.get(at) or self._make(at) for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return self._made.setdefault(at, self._made.get(at) or self._make(at))

    def __iter__(self) -> Iterator[Frame]:
        for at in range(len(self)):
            yield self._made.get(at) or self._make(at)

    def __eq__(self, other: object) -> bool:
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _make(self, at: int) -> Frame:
        row = self._rows[at]
        interface, direction = self._interfaces[self._places[row]]
        data = self.storage.data(row)
        return Frame(
            at + 1, self.storage.time[row], interface, direction, data, self._longer.get(at, 0), self.packets[at]
        )

    def interfaces(self) -> list[Interface]:
        """Return every interface that saw a frame."""
        return list(dict.fromkeys(interface for interface, _direction in self._interfaces))

    def take(self, resolve: Resolve) -> int:
        """Take in the rows that the storage has got; return how many frames there are then.

        None of them may be older than the frames that came before, in true order.
        """
        begin, end = len(self._rows), len(self.storage)
        if begin == end:
            return end
        places = self.storage.place[begin:end]
        table = {each: self._where(each, resolve) for each in dict.fromkeys(places)}
        self._places.extend(map(table.__getitem__, places))
        upper = frozenset(each for each, which in table.items() if self._interfaces[which][0].kind == "macvlan")
        order = self._order(self.storage.time[begin:end], places, upper)
        self.packets.frombytes(bytes(4 * (end - begin)))
        if order is None:
            self._rows.extend(range(begin, end))
            self._numbers.extend(range(begin, end))
        else:
            self._rows.extend(begin + row for row in order)
            numbers = array("I", bytes(4 * len(order)))
            for number, row in enumerate(order, begin):
                numbers[row] = number
            self._numbers.extend(numbers)
        return end

    def _where(self, number: int, resolve: Resolve) -> int:
        netns, index, outgoing = placed(number)
        key = resolve(netns, index), OUT if outgoing else IN
        if key not in self._known:
            self._known[key] = len(self._interfaces)
            self._interfaces.append(key)
        return self._known[key]

    def _order(self, times: array[int], places: array[int], upper: frozenset[int]) -> list[int] | None:
        """Return new rows in true order, counted from the first; None if that is how they are.

        What is heard by an interface below another one has the same time there, and in a namespace of its own it may
        have been read before: `upper` are the places of those that come after who has the same time.
        """
        first = max(self._latest.values(), default=0)
        if not upper and first <= times[0] and all(map(le, times, times[1:])):
            # The common case, told fast.
            self._latest.update(zip((each >> 33 for each in places), times, strict=True))
            return None
        orders = []
        latest = self._latest
        for time, where in zip(times, places, strict=True):
            netns = where >> 33
            time = latest[netns] = max(time, latest.get(netns, 0))
            orders.append((time, where in upper))
        # Stable: within a namespace the order of reading is the true one.
        return sorted(range(len(orders)), key=orders.__getitem__)

    def add(self, frames: Iterable[Frame]) -> None:
        """Append frames that were captured elsewhere, in their order, with their numbers as they come here."""
        for frame in frames:
            at = len(self._rows)
            key = frame.interface, frame.direction
            if key not in self._known:
                self._known[key] = len(self._interfaces)
                self._interfaces.append(key)
            which = self._known[key]
            self.storage.add(frame.data, frame.time, place(0, which, False))
            if frame.length != len(frame.data):
                self._longer[at] = frame.length
            self._places.append(which)
            self._rows.append(at)
            self._numbers.append(at)
            self.packets.append(frame.packet)

    def chunks(self, start: int, stop: int) -> Iterator[tuple[array[int], memoryview, array[int], array[int]]]:
        """Yield the frames from `start` to `stop`, in any order, as (places in the sequence, buffer, offsets, lengths).

        Both are ends of what was taken in at once, so that they are ends among the rows, too.
        """
        for row, buffer, offsets, lengths in self.storage.chunks(start, stop):
            yield self._numbers[row : row + len(lengths)], buffer, offsets, lengths

    def kept(self, places: Iterable[int]) -> list[Frame]:
        """Return some frames, by their places in the sequence, in true order; each is the same object every time."""
        return [self[at] for at in sorted(places)]
