"""A bridge swallows the ARP reply.

    host
    +---------------------------------------+
    |   br0                                 |
    |    | port                             |
    |  veth0 ================ veth1         |
    |  192.168.3.101          192.168.3.102 |
    +---------------------------------------+

veth0 is a port of br0, so whatever arrives on veth0 is handed to br0. veth0 can still send: its request goes out
and is answered, but the answer surfaces on br0, where nobody asked. The entry on veth0 waits in vain. The cure is to
let the bridge have the address. With both ends in one namespace it takes accept_local, too: see the lab
port_is_deaf_between_two_hosts for the other case.

See "master" in ip-link(8), br_handle_frame() in net/bridge/br_input.c, arp_process() in net/ipv4/arp.c, and
fib_validate_source() in net/ipv4/fib_frontend.c on accept_local and rp_filter.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, depends, refutes

topology = Topology()
host = topology.namespace("host")
veth0, veth1 = host.veth("veth0", "veth1")
br0 = host.bridge("br0", ports=[veth0])
veth0.address("192.168.3.101/24")
veth1.address("192.168.3.102/24")
# Both addresses are local to host, so each end would drop the other's packets as spoofed.
veth1.sysctl("net.ipv4.conf.{}.accept_local", 1)

request = ARP(op="who-has", pdst="192.168.3.102")
reply = ARP(op="is-at", psrc="192.168.3.102")
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


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


@confirms("samens-reply-through-lo", "br0-mac-becomes-port-mac")
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


RULES = [
    # accept_local and rp_filter, each on all, veth0 and veth1; answered or not
    ((0, 0, 1), (0, 0, 0), True),
    ((0, 1, 0), (0, 0, 0), False),
    ((1, 0, 0), (0, 0, 0), True),
    ((0, 0, 1), (1, 0, 0), False),
    ((0, 0, 1), (0, 0, 1), False),
    ((0, 0, 1), (0, 1, 0), True),
    ((0, 0, 1), (2, 0, 1), True),
]


@pytest.mark.parametrize("bridged", [False, True], ids=["no_bridge", "br0"])
@pytest.mark.parametrize("bind", [True, False], ids=["bound", "not_bound"])
@depends("samens-unbridged-ping-veth0", "samens-br0-ping-veth1", on="accept_local and rp_filter of veth1 and of all")
@refutes("samens-ping-version-matters")
def test_settings_of_veth1_decide(net: Network, bridged: bool, bind: bool) -> None:
    """accept_local on veth1 or all, and the greater rp_filter of the two not 1; whether ping binds is all the same."""
    if bridged:
        net.move_address("192.168.3.101/24", veth0, br0)
    else:
        net.detach(veth0)
    for accept_local, rp_filter, answered in RULES:
        for name, accept, strict in zip(("all", "veth0", "veth1"), accept_local, rp_filter, strict=True):
            net.sysctl(host, f"net.ipv4.conf.{name}.accept_local", accept)
            net.sysctl(host, f"net.ipv4.conf.{name}.rp_filter", strict)
        net.flush_neighbours(host)
        assert bool(net.ping("192.168.3.102", dev=br0 if bridged else veth0, bind=bind)) == answered
