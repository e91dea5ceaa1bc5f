"""Frames that were dropped between two interfaces, since the backlog of a processor was full.

What a veth, a bridge or a tunnel passes on waits in the backlog of the CPU that sent it, which holds
net.core.netdev_max_backlog frames and drops more (enqueue_to_backlog() in net/core/dev.c). Such a frame was seen going
out and is seen nowhere after, without a capture having lost it. The kernel counts it for the whole machine, whoever
sends; and among the drops of the interface that sent it (veth_xmit() in drivers/net/veth.c; of lo it is those that it
received), where frames for a peer that is down or has a smaller MTU count as well. So both must have risen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pktlab.kernel.netns import Netns

# The columns of drops in /proc/net/dev.
_RECEIVED, _SENT = 3, 11


class Backlog:
    """The machine's backlogs from now on."""

    def __init__(self) -> None:
        self._before = _machine()
        self._last: dict[str, int] = {}  # of interfaces that were about to go

    def look(self, namespaces: Mapping[str, Netns]) -> None:
        """Remember what the interfaces have counted: one that is deleted takes its counter with it."""
        if _machine() != self._before:
            self._last |= _counts(namespaces)

    def dropped(self, namespaces: Mapping[str, Netns], known: Iterable[Sequence[str]] = ()) -> dict[str, int]:
        """Return how many frames that went out of which interfaces (``"namespace/interface"``) were dropped, at most.

        The interfaces must have been made since this was. Of each that is `known`, by all places where it has been, and
        is not there any more, nor was looked at before it went, it may be all that the machine dropped.
        """
        machine = _machine() - self._before
        if not machine:
            return {}
        found = self._last | _counts(namespaces)
        found |= {places[-1]: machine for places in known if found.keys().isdisjoint(places)}
        return {where: min(count, machine) for where, count in found.items() if count}


def _counts(namespaces: Mapping[str, Netns]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, namespace in namespaces.items():
        found |= {f"{name}/{dev}": count for dev, count in driver_drops(namespace).items()}
    return found


def _machine() -> int:
    """Return how many frames all CPUs have dropped: the second column, in hexadecimal digits."""
    with open("/proc/thread-self/net/softnet_stat", encoding="ascii") as table:
        return sum(int(line.split()[1], 16) for line in table)


def driver_drops(namespace: Netns) -> dict[str, int]:
    """Return how many frames that each interface of a namespace has sent were dropped by its driver."""
    out = {}
    with namespace.entered(), open("/proc/thread-self/net/dev", encoding="ascii") as table:
        for line in list(table)[2:]:
            name, _, counts = line.strip().partition(":")
            out[name] = int(counts.split()[_RECEIVED if name == "lo" else _SENT])
    return out
