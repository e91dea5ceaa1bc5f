"""A bridge is also a host.

    h1                      box                              srv
    +-----------+           +--------------------------+     +------------+
    |  eth0 ================== p1 -- br0      out ================ eth0   |
    |  10.0.0.2 |           |         |   10.1.0.1     |     |  10.1.0.2  |
    +-----------+           |         |                |     +------------+
    |  eth0 ================== p2     10.0.0.1         |
    |  10.0.0.3 |           +--------------------------+
    +-----------+
    h2

Beside its ports a bridge has a side of its own, towards the box that it is in: it can have an address and answer for
it, and frames for its own MAC go up to the box's IP layer, which may route them. What it only passes on between ports
does not get there. Yet netfilter can be asked to look at it all the same: bridge-nf-call-iptables, which a lab starts
with at 0 and the kernel at 1.

See br_handle_frame_finish() and br_pass_frame_up() in net/bridge/br_input.c, br_nf_forward() in
net/bridge/br_netfilter_hooks.c.
"""

from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms, depends

topology = Topology()
h1, h2, box, srv = (topology.namespace(name) for name in ("h1", "h2", "box", "srv"))
one, p1 = h1.veth("eth0", "p1", netns=box)
two, p2 = h2.veth("eth0", "p2", netns=box)
out, far = box.veth("out", "eth0", netns=srv)
br0 = box.bridge("br0", ports=[p1, p2])
one.address("10.0.0.2/24")
two.address("10.0.0.3/24")
br0.address("10.0.0.1/24")
out.address("10.1.0.1/24")
far.address("10.1.0.2/24")
h1.route("default", via="10.0.0.1")
srv.route("default", via="10.1.0.1")
box.sysctl("net.ipv4.ip_forward", 1)  # the box passes on what comes up to it and is for somebody else
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
# What is only bridged has no business here, and what is routed ends here.
FORBID = "table ip filter { chain forward { type filter hook forward priority filter; policy drop; }; }"


@confirms("bridge-can-have-ip")
def test_its_own_address(net: Network) -> None:
    """br0 answers for its address, with its own MAC."""
    with net.capture() as seen:
        assert net.ping(br0.ip, ns=h1).ttl == 64
    assert seen.path(ARP(op="is-at", psrc=br0.ip, hwsrc=br0.mac)) == [br0, p1, one]
    assert seen.path(echo) == [one, p1, br0]
    assert seen.path(echo_reply) == [br0, p1, one]


def test_without_the_address(net: Network) -> None:
    """The question arrives on br0 as before; nobody answers."""
    net.del_address(br0, "10.0.0.1/24")
    with net.capture() as seen:
        assert not net.ping(br0.ip, ns=h1)
    assert seen.where(ARP(op="who-has", pdst=br0.ip)) == {one, p1, p2, two, br0}
    assert seen.path(ARP(op="is-at")) == []


@confirms("bridge-l2-and-l3")
def test_frames_for_its_mac(net: Network) -> None:
    """A packet for srv in a frame for br0's MAC is routed: out of the box by another NIC, with one hop less."""
    with net.capture() as seen:
        assert net.ping(far.ip, ns=h1)
    assert seen.path(echo) == [one, p1, br0, out, far]
    assert seen.path(Ether(src=one.mac, dst=br0.mac) / IP(ttl=64) / echo) == [one, p1, br0]
    assert seen.path(Ether(src=out.mac, dst=far.mac) / IP(ttl=63) / echo) == [out, far]


def test_frames_for_another_mac(net: Network) -> None:
    """The same packet in a frame for h2's MAC is bridged to h2, and br0 does not look at it, as a switch would not."""
    assert net.ping(two.ip, ns=h1)
    packet = Ether(dst=two.mac) / IP(dst=far.ip, ttl=64) / ICMP(type="echo-request", id=7)
    with net.capture() as seen:
        net.send(packet, dev=one)
    assert seen.path(packet) == [one, p1, p2, two]


@depends("bridge-l2-ignores-stack-netfilter", on="bridge-nf-call-iptables: 1 has iptables look at bridged packets too")
def test_a_ruleset_that_forbids_forwarding(net: Network) -> None:
    """It stops what is routed; what is bridged it stops only where netfilter is asked to look at that."""
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        pytest.skip("this kernel has no CONFIG_BRIDGE_NETFILTER, or br_netfilter is not loaded")
    net.nft(box, FORBID)
    assert not net.ping(far.ip, ns=h1)
    for call, answered in ((0, True), (1, False)):
        net.sysctl(box, "net.bridge.bridge-nf-call-iptables", call)
        with net.capture() as seen:
            assert bool(net.ping(two.ip, ns=h1)) == answered
        assert seen.path(echo) == ([one, p1, p2, two] if answered else [one, p1])
