"""Namespaces with veth pairs between them, for pktlab as a topology and for its peers without pktlab's capture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.program import run
from pktlab import Topology
from pktlab.kernel.netns import Netns

_QUIET = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}


@dataclass(frozen=True)
class Bed:
    """`pairs` are (namespace, interface, namespace, interface); frames are sent into the first end of each."""

    namespaces: tuple[str, ...]
    pairs: tuple[tuple[str, str, str, str], ...]

    @property
    def senders(self) -> list[str]:
        """Where frames are sent: NAMESPACE/INTERFACE."""
        return [f"{netns}/{dev}" for netns, dev, _far, _peer in self.pairs]

    def topology(self) -> Topology:
        """Declare it."""
        topology = Topology()
        made = {name: topology.namespace(name) for name in self.namespaces}
        for netns, dev, far, peer in self.pairs:
            made[netns].veth(dev, peer, netns=made[far])
        return topology

    @contextmanager
    def plain(self) -> Iterator[dict[str, Netns]]:
        """Make it with iproute2, inside a sandbox; yields its namespaces by name."""
        made = [Netns(name) for name in self.namespaces]
        for each in made:
            each.sysctl(_QUIET, missing_ok=True)
        lines = [f"link add {d} netns {n} type veth peer name {p} netns {f}" for n, d, f, p in self.pairs]
        run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        for name in self.namespaces:
            ends = [e for n, d, f, p in self.pairs for e, where in ((d, n), (p, f)) if where == name]
            run(["ip", "-n", name, "-batch", "-"], input="".join(f"link set {end} up\n" for end in ends))
        try:
            yield {each.name: each for each in made}
        finally:
            for each in made:
                each.close()


ONE = Bed(("a", "b"), (("a", "eth0", "b", "eth0"),))


def many(namespaces: int, interfaces: int) -> Bed:
    """Namespaces in a ring, each with so many interfaces: an even total of them."""
    names = tuple(f"n{i}" for i in range(namespaces))
    free = [name for _ in range(interfaces) for name in names]
    pairs = []
    for number in range(len(free) // 2):
        near, far = free[2 * number], free[2 * number + 1]
        pairs.append((near, f"v{number}a", far, f"v{number}b"))
    return Bed(names, tuple(pairs))
