"""What was proved of a capture: on which interfaces it was armed and fenced, how much it had lost, what it cannot tell.

An interface is armed when a marker came back stamped from it before the act's stimulus, and fenced when another one
followed the stimulus the same way: what the interface carried in between was captured, or counted as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pktlab.frame import IN, OUT, Frame
from pktlab.interface import Interface
from pktlab.kernel.proof import Marker, Target

# Kinds of interfaces that a marker would leave as something else than a frame that nobody takes.
UNFIT = {
    "vxlan": "what is sent there goes on to other nodes, in a packet of its own",
    "tap": "what is sent there is read by the program behind it",
    "tun": "it carries no Ethernet frames",
}
UNKNOWN = "it was not declared, so that it is not known what it does with a frame"


@dataclass(slots=True)
class Proof:
    """Times are in nanoseconds since the epoch, of the first marker heard on an interface and of the last.

    `without` says why there are none; `drained` is how many frames there were at the last fence, `lost` how many the
    capture had lost; `dropped` those that were dropped on their way, by the interface that had sent them.
    """

    rounds: int = 0
    armed: dict[Interface, int] = field(default_factory=dict)
    fenced: dict[Interface, int] = field(default_factory=dict)
    without: dict[Interface, str] = field(default_factory=dict)
    drained: int = 0
    lost: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    markers: list[Frame] = field(default_factory=list)

    def take(
        self, heard: Mapping[Interface, int], without: Mapping[Interface, str], *, fence: bool, drained: int, lost: int
    ) -> None:
        """Take in a round of markers; `fence` for one that follows a stimulus."""
        self.rounds += 1
        for interface, time in heard.items():
            if fence:
                self.fenced[interface] = time
            else:
                self.armed.setdefault(interface, time)
        # An interface may lose its carrier in the act, and have it again.
        self.without = {**self.without, **without}
        for interface in heard:
            self.without.pop(interface, None)
        self.drained, self.lost = drained, lost

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data; empty where no capture was asked for."""
        if not self.rounds:
            return {}
        return {
            "rounds": self.rounds,
            "armed": {str(interface): time for interface, time in self.armed.items()},
            "fenced": {str(interface): time for interface, time in self.fenced.items()},
            "without": {str(interface): why for interface, why in self.without.items()},
            "drained": self.drained,
            "lost": self.lost,
            "dropped": self.dropped,
        }

    def notes(self) -> dict[Interface, str]:
        """Return a line on each interface for the capture file."""
        if not self.rounds:
            return {}
        out = {}
        for interface in dict.fromkeys([*self.armed, *self.fenced]):
            ends = (("armed", self.armed.get(interface)), ("fenced", self.fenced.get(interface)))
            out[interface] = ", ".join(f"{word} at {_seconds(time)}" if time else f"not {word}" for word, time in ends)
        for interface, why in self.without.items():
            out[interface] = f"{out[interface]}; then no more: {why}" if interface in out else f"no marker: {why}"
        return out


def _seconds(time: int) -> str:
    return f"{time // 10**9}.{time % 10**9:09}"


def targets(
    interfaces: Sequence[Interface], seconds: Iterable[Interface], names: Mapping[str, Mapping[int, str]]
) -> tuple[dict[Target, Interface], dict[Interface, str]]:
    """Return the interfaces to send markers out of, and why not out of others.

    `seconds` are the far ends of veth pairs, `names` those of all live interfaces by namespace and ifindex.
    """
    far = set(seconds)
    fit, unfit = {}, {}
    declared = set()
    for each in interfaces:
        declared.add((each.netns, each.index))
        if each.kind in UNFIT:
            unfit[each] = UNFIT[each.kind]
        else:
            name = names[each.netns][each.index]
            fit[Target(each.netns, each.index, name, bridge=each.kind == "bridge", second=each in far)] = each
    for netns, found in names.items():
        for index, name in found.items():
            if (netns, index) not in declared:
                unfit[Interface(netns, name, index=index)] = UNKNOWN
    return fit, unfit


def frames(markers: Iterable[Marker], fit: Mapping[Target, Interface]) -> list[Frame]:
    """Return captured markers as frames; they have no number."""
    known = {(target.netns, target.index): interface for target, interface in fit.items()}
    return [
        Frame(
            0,
            each.time,
            known.get((each.netns, each.index)) or Interface(each.netns, f"if{each.index}", index=each.index),
            OUT if each.outgoing else IN,
            each.data,
        )
        for each in markers
    ]
