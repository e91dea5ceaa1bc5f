"""The name of an interface: which namespace it is in, and what it is called there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class Interface:
    """An interface, named by its namespace and its own name; two with the same names are equal.

    Paths, frames and observations speak of interfaces by this name (``host/veth0``), whether they were
    declared in a topology or made by a program while an act ran. `mac` is lower case with colons, or
    empty where it is not known; `index` is the ifindex, 0 where it is not known.
    """

    __slots__ = ("_mac", "index", "kind", "name", "netns")

    def __init__(self, netns: str, name: str, *, kind: str = "", mac: str = "", index: int = 0) -> None:
        self.netns = netns
        self.name = name
        self.kind = kind
        self.index = index
        self._mac = mac

    @property
    def mac(self) -> str:
        """The MAC address, lower case with colons; empty where only the kernel knows it."""
        return self._mac

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Interface):
            return (self.netns, self.name) == (other.netns, other.name)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.netns, self.name))

    def __lt__(self, other: Interface) -> bool:
        return (self.netns, self.name) < (other.netns, other.name)

    def __str__(self) -> str:
        return f"{self.netns}/{self.name}" if self.netns else self.name  # of another program's capture

    def __repr__(self) -> str:
        return str(self)


def shortest(names: Iterable[str]) -> dict[str, str]:
    """Return how each interface is called wherever texts speak of several: bare where no other has its name."""
    bare = {name: name.rpartition("/")[2] for name in names}
    shared = Counter(bare.values())
    return {name: short if shared[short] == 1 else name for name, short in bare.items()}
