"""A bridge forgets who is silent.

      +--- a ---+     +--- b ---+     +--- c ---+
      |  eth0   |     |  eth0   |     |  eth0   |
      +---||----+     +---||----+     +---||----+
    +-----||--------------||--------------||----+
    |     pa              pb              pc    |
    |    br0: ageing_time 300 s                 |
    +--- box -----------------------------------+

What br0 has learned of a host holds as long as the host is heard from, and ageing_time longer. The acts set that to a
fifth of a second, and wait until the kernel announces that the entry is gone. An entry that was written by hand
does not age; but one that is merely static follows the host to another port as any does.

See bridge(8) on static and sticky, br_fdb_cleanup() and br_fdb_update() in net/bridge/br_fdb.c.
"""

import pytest
from scapy.layers.l2 import Ether

from pktlab import Network, Topology, confirms

topology = Topology()
a, b, c, box = (topology.namespace(name) for name in ("a", "b", "c", "box"))
a0, pa = a.veth("eth0", "pa", netns=box)
b0, pb = b.veth("eth0", "pb", netns=box)
c0, pc = c.veth("eth0", "pc", netns=box)
br0 = box.bridge("br0", ports=[pa, pb, pc], ageing_time=300)

BROADCAST, TYPE = "ff:ff:ff:ff:ff:ff", 0x88B5  # a type for experiments, which no stack answers
hello = Ether(src=b0.mac, dst=BROADCAST, type=TYPE)
to_b = Ether(dst=b0.mac, type=TYPE)
AGE = 0.2


def ports(net: Network) -> dict[str, str]:
    """The port of each MAC that br0 did not have from the beginning."""
    return {entry.mac: entry.dev for entry in net.fdb(br0) if entry.state != "permanent"}


@confirms("bridge-learns-source-mac", "bridge-forwards-by-mac")
def test_b_was_heard(net: Network) -> None:
    """After one frame of b's, what is for b goes to b only."""
    assert ports(net) == {}
    net.send(hello, dev=b0)
    with net.capture() as seen:
        net.send(to_b, dev=a0)
    assert seen.path(to_b) == [a0, pa, pb, b0]
    assert ports(net) == {a0.mac: "pa", b0.mac: "pb"}


@confirms("bridge-fdb-ageing")
def test_b_is_silent(net: Network) -> None:
    """When b's entry has aged away, what is for b is flooded again, until b is heard once more."""
    net.send(hello, dev=b0)
    net.settle()
    assert ports(net) == {b0.mac: "pb"}
    net.set_bridge(br0, ageing_time=AGE)
    net.wait(lambda: ports(net) == {})
    with net.capture() as seen:
        net.send(to_b, dev=a0)
    assert seen.where(to_b) == {a0, pa, pb, pc, b0, c0}
    net.set_bridge(br0, ageing_time=300)
    net.send(hello, dev=b0)
    with net.capture() as seen:
        net.send(to_b, dev=a0)
    assert seen.path(to_b) == [a0, pa, pb, b0]


def test_static_entry(net: Network) -> None:
    """An entry for b that was written by hand is there when c's, which was learned later, has aged away."""
    net.add_fdb(pb, b0.mac)
    net.send(Ether(dst=BROADCAST, type=TYPE), dev=c0)
    net.settle()
    assert ports(net) == {b0.mac: "pb", c0.mac: "pc"}
    net.set_bridge(br0, ageing_time=AGE)
    net.wait(lambda: c0.mac not in ports(net))
    assert ports(net) == {b0.mac: "pb"}


@confirms("bridge-mac-move")
@pytest.mark.parametrize("static", [False, True])
def test_b_moves(net: Network, static: bool) -> None:
    """b's MAC turns up behind pc: the entry follows at the first frame, and nothing goes to pb any more."""
    if static:
        net.add_fdb(pb, b0.mac)
    else:
        net.send(hello, dev=b0)
    for nic, port in ((b0, pb), (c0, pc)):
        if nic is c0:
            net.send(hello, dev=c0)
        with net.capture() as seen:
            net.send(to_b, dev=a0)
        assert seen.path(to_b) == [a0, pa, port, nic]
        assert ports(net)[b0.mac] == port.name


def test_sticky_entry(net: Network) -> None:
    """Only a sticky entry stays where it is, whoever uses its MAC elsewhere."""
    assert net.run(box, ["bridge", "fdb", "add", b0.mac, "dev", "pb", "master", "static", "sticky"])
    net.send(hello, dev=c0)
    with net.capture() as seen:
        net.send(to_b, dev=a0)
    assert seen.path(to_b) == [a0, pa, pb, b0]
