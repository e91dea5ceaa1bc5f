"""A bridge swallows the ARP reply.

    host                                            far
    +---------------------------------------+       +-----------------+
    |   br0                                 |       |                 |
    |    | port                             |       |                 |
    |  veth0 ================ veth1         |       |                 |
    |  192.168.3.101          192.168.3.102 |       |                 |
    |                                       |       |                 |
    |   br1                                 |       |                 |
    |    | port                             |       |                 |
    |  veth2 ===========================================  veth3       |
    |  192.168.4.101                        |       |  192.168.4.102  |
    +---------------------------------------+       +-----------------+

veth0 is a port of br0, so whatever arrives on veth0 is handed to br0. veth0 can still send: its request goes out
and is answered, but the answer surfaces on br0, where nobody asked. The entry on veth0 waits in vain. The cure is to
let the bridge have the address. veth2 and veth3 repeat it with the other end in a namespace of its own, where no
setting has to be changed for the answer to be given.

See "master" in ip-link(8), br_handle_frame() in net/bridge/br_input.c, arp_process() in net/ipv4/arp.c.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, depends, refutes

topology = Topology()
host = topology.namespace("host")
far = topology.namespace("far")

veth0, veth1 = host.veth("veth0", "veth1")
br0 = host.bridge("br0", ports=[veth0])
veth0.address("192.168.3.101/24")
veth1.address("192.168.3.102/24")
# Both addresses are local to host, so each end would drop the other's packets as spoofed.
veth1.sysctl("net.ipv4.conf.{}.accept_local", 1)

veth2, veth3 = host.veth("veth2", "veth3", netns=far)
br1 = host.bridge("br1", ports=[veth2])
veth2.address("192.168.4.101/24")
veth3.address("192.168.4.102/24")

request = ARP(op="who-has", pdst="192.168.3.102")
reply = ARP(op="is-at", psrc="192.168.3.102")
far_request = ARP(op="who-has", pdst="192.168.4.102")
far_reply = ARP(op="is-at", psrc="192.168.4.102")
echo = ICMP(type="echo-request")
echo_reply = ICMP(type="echo-reply")


@confirms("enslaved-ping-veth0-fails", "enslaved-tx-not-via-bridge", "enslaved-reply-on-veth0-and-br0")
@confirms("enslaved-port-rx-not-to-stack", "enslaved-port-tx-from-stack-works", "samens-accept-local-gives-arp-reply")
@refutes("enslaved-tx-goes-through-bridge-first")
def test_address_on_the_port(net: Network) -> None:
    """veth0 asks, veth1 answers, and br0 swallows the answer: the entry on veth0 is never filled in."""
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", dev=veth0)

    assert seen.path(request) == [veth0, veth1]
    assert seen.path(reply) == [veth1, veth0, br0]
    assert seen.path(echo) == []
    assert [entry.mac for entry in net.neighbours(veth0)] == [""]
    assert net.neighbours(br0) == []


@confirms("samens-br0-ping-veth1", "samens-reply-through-lo", "enslave-br0-veth0-bidirectional")
@confirms("br0-mac-becomes-port-mac")
def test_address_on_the_bridge(net: Network) -> None:
    """br0 asks and the answer surfaces there (the echo reply takes lo); forced out of veth0 it still fails."""
    net.move_address("192.168.3.101/24", veth0, br0)
    assert net.links(br0)[0].mac == veth0.mac
    with net.capture() as seen:
        assert net.ping("192.168.3.102", dev=br0)

    assert seen.path(request) == [br0, veth0, veth1]
    assert seen.path(reply) == [veth1, veth0, br0]
    assert seen.path(echo) == [br0, veth0, veth1]
    assert seen.path(echo_reply) == [host.lo]
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", dev=veth0)
    assert seen.path(reply) == [veth1, veth0, br0]


def test_no_bridge(net: Network) -> None:
    """Without the bridge the answer goes where it was asked for: the enslaving was the cause."""
    net.detach(veth0)
    with net.capture() as seen:
        assert net.ping("192.168.3.102", dev=veth0)

    assert seen.path(reply) == [veth1, veth0]
    assert [entry.mac for entry in net.neighbours(veth0)] == [veth1.mac]


@confirms("samens-default-no-arp-reply")
def test_without_accept_local(net: Network) -> None:
    """veth1 takes a question from an address of its own host for spoofed, and does not answer."""
    net.sysctl(veth1, "net.ipv4.conf.{}.accept_local", 0)
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", dev=veth0)

    assert seen.path(request) == [veth0, veth1]
    assert seen.path(reply) == []


@pytest.mark.parametrize(("where", "rp_filter", "answered"), [("veth1", 1, False), ("all", 1, False), ("all", 2, True)])
def test_rp_filter_decides_too(net: Network, where: str, rp_filter: int, answered: bool) -> None:
    """A strict rp_filter, on veth1 or on all, silences veth1 again; a loose one does not."""
    net.sysctl(host, f"net.ipv4.conf.{where}.rp_filter", rp_filter)
    with net.capture() as seen:
        net.ping("192.168.3.102", dev=veth0)

    assert seen.path(request) == [veth0, veth1]
    assert seen.path(reply) == ([veth1, veth0, br0] if answered else [])


@confirms("enslaved-ping-veth0-fails")
def test_far_end_in_its_own_namespace(net: Network) -> None:
    """The same happens between two hosts, with no sysctl at all."""
    with net.capture() as seen:
        assert not net.ping("192.168.4.102", dev=veth2)

    assert seen.path(far_request) == [veth2, veth3]
    assert seen.path(far_reply) == [veth3, veth2, br1]


@depends("enslaved-ping-error-text", on="whether the socket is bound to the device")
def test_unbound_ping_is_told(net: Network) -> None:
    """A socket that is not bound to veth2 hears of the failure from its own host; a bound one waits in silence."""
    bound, unbound = net.ping("192.168.4.102", dev=veth2), net.ping("192.168.4.102", ns=host)
    assert not bound
    assert bound.error == ""
    assert not unbound
    assert (unbound.icmp, unbound.source) == ((3, 1), "192.168.4.101")


@confirms("give-ip-to-bridge-works-other-ns", "veth0-noip-forced-fails")
def test_far_end_and_address_on_the_bridge(net: Network) -> None:
    """br1 with the address reaches veth3, both ways over the wire; forced out of veth2 it still fails."""
    net.move_address("192.168.4.101/24", veth2, br1)
    with net.capture() as seen:
        assert net.ping("192.168.4.102", dev=br1)

    assert seen.path(echo) == [br1, veth2, veth3]
    assert seen.path(echo_reply) == [veth3, veth2, br1]
    with net.capture() as seen:
        assert not net.ping("192.168.4.102", dev=veth2)
    assert seen.path(far_reply) == [veth3, veth2, br1]
