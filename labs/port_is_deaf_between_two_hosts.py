"""A port is deaf between two hosts as well.

    host                                far
    +-----------------------------+     +---------------+
    |  br0                        |     |               |
    |   | port                    |     |               |
    |  veth0 =============================== veth1      |
    |  192.168.4.101              |     | 192.168.4.102 |
    +-----------------------------+     +---------------+

The same as in bridge_swallows_arp_reply, with the other end in a namespace of its own, as a container has it: no
setting has to be changed for the question to be answered, and still veth0 never hears the answer.
Whether ping says so hangs on its socket: the error comes from the host itself, by lo, where a raw socket that is bound
to veth0 is deaf; ping's own kind of socket, where ping_group_range allows it, is told.

See br_handle_frame() in net/bridge/br_input.c, raw_icmp_error() in net/ipv4/raw.c, icmp(7) on ping_group_range.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, depends

topology = Topology()
host, far = topology.namespace("host"), topology.namespace("far")
veth0, veth1 = host.veth("veth0", "veth1", netns=far)
br0 = host.bridge("br0", ports=[veth0])
veth0.address("192.168.4.101/24")
veth1.address("192.168.4.102/24")

request, reply = ARP(op="who-has", pdst=veth1.ip), ARP(op="is-at", psrc=veth1.ip)
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("enslaved-ping-veth0-fails", "enslaved-tx-not-via-bridge", "enslaved-reply-on-veth0-and-br0")
@confirms("enslaved-port-rx-not-to-stack", "enslaved-port-tx-from-stack-works")
def test_far_end_in_its_own_namespace(net: Network) -> None:
    """The question goes out past br0, the answer comes in to br0, and the entry on veth0 stays empty."""
    with net.capture() as seen:
        assert not net.ping(veth1.ip, dev=veth0)

    assert seen.path(request) == [veth0, veth1]
    assert seen.path(reply) == [veth1, veth0, br0]
    assert seen.path(echo) == []
    assert [entry.mac for entry in net.neighbours(veth0)] == [""]


def test_far_end_and_no_bridge(net: Network) -> None:
    """Out of the bridge veth0 hears the answer."""
    net.detach(veth0)
    with net.capture() as seen:
        assert net.ping(veth1.ip, dev=veth0)

    assert seen.path(reply) == [veth1, veth0]
    assert seen.path(echo_reply) == [veth1, veth0]


@confirms("give-ip-to-bridge-works-other-ns", "veth0-noip-forced-fails", "enslave-br0-veth0-bidirectional")
def test_far_end_and_address_on_the_bridge(net: Network) -> None:
    """br0 with the address reaches veth1 and is reached by it; forced out of veth0 it still fails."""
    net.move_address("192.168.4.101/24", veth0, br0)
    with net.capture() as seen:
        assert net.ping(veth1.ip, dev=br0)
    assert seen.path(echo) == [br0, veth0, veth1]
    assert seen.path(echo_reply) == [veth1, veth0, br0]

    with net.capture() as seen:
        assert net.ping("192.168.4.101", ns=far)
    assert seen.path(echo) == [veth1, veth0, br0]
    assert seen.path(echo_reply) == [br0, veth0, veth1]

    with net.capture() as seen:
        assert not net.ping(veth1.ip, dev=veth0)
    assert seen.path(reply) == [veth1, veth0, br0]


@depends("enslaved-ping-error-text", on="the socket of ping: a raw one that is bound to the device hears of nothing")
def test_who_is_told(net: Network) -> None:
    """A raw socket bound to veth0 waits in silence, one that is not bound is told."""
    bound, unbound = net.ping(veth1.ip, dev=veth0), net.ping(veth1.ip, dev=veth0, bind=False)
    assert not bound
    assert bound.error == ""
    assert not unbound
    assert (unbound.icmp, unbound.source) == ((3, 1), "192.168.4.101")


@depends("enslaved-ping-error-text", on="the socket of ping: a raw one that is bound to the device hears of nothing")
def test_what_ping_prints(net: Network) -> None:
    """The program ping: with a raw socket it prints the loss only, with a socket of its own kind the reason too."""
    ping = ["ping", "-c", "1", "-W", "0.5", "-I", "veth0", veth1.ip]
    for told in (False, True):
        if told:
            # The groups that may have such a socket: in a new namespace none, now that of root.
            net.sysctl(host, "net.ipv4.ping_group_range", "0 0")
        output = net.run(host, ping).stdout
        assert "100% packet loss" in output
        assert ("From 192.168.4.101 icmp_seq=1 Destination Host Unreachable" in output) == told
