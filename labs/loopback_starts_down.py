"""The loopback of a new namespace starts down.

    host                                   fresh
    +--------------------------------+     +------------------------+
    |  lo  127.0.0.1, up             |     |  lo  no address, down  |
    |  veth0 ================ veth1  |     |                        |
    |  10.1.1.1/24                   |     |                        |
    +--------------------------------+     +------------------------+

A namespace is born with one interface, lo, which is down and has no address. 127.0.0.1 comes with the first "up", and
with it the local route; until then a namespace cannot reach even itself, and the kernel refuses before there is a
packet. Set down again, lo keeps both, so that the packet is then lost in silence.

See network_namespaces(7), ip-netns(8), and inetdev_event() in net/ipv4/devinet.c, which gives lo its address.
"""

import pytest
from scapy.layers.inet import ICMP, TCP

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
host, fresh = topology.namespace("host"), topology.namespace("fresh")
fresh.lo.down()
veth0, veth1 = host.veth("veth0", "veth1")
veth0.address("10.1.1.1/24")

request = ICMP(type="echo-request")
reply = ICMP(type="echo-reply")


def ip(net: Network, words: str, *, netns: str = "host") -> str:
    """What iproute2 says, run in a namespace of that name."""
    return net.run(host, ["nsenter", f"--net=/run/netns/{netns}", "ip", *words.split()]).stdout


@confirms("netns-lo-down-ping-unreachable")
def test_lo_as_it_was_created(net: Network) -> None:
    """127.0.0.1 is unreachable, though not in the namespace whose lo is up; no packet exists."""
    with net.capture() as seen:
        answer = net.ping("127.0.0.1", ns=fresh)
        with pytest.raises(OSError, match="Network is unreachable"):
            net.socket(fresh, "udp").connect(("127.0.0.1", 1025))

    assert answer.error == "Network is unreachable"
    assert seen.where(ICMP()) == set()
    assert [(lo.state, lo.addresses) for lo in net.links(fresh.lo)] == [("DOWN", ())]
    assert net.ping("127.0.0.1", ns=host)


@confirms("netns-lo-up-ping-ok")
def test_lo_set_up(net: Network) -> None:
    """127.0.0.1 is there and answers; lo shows request and reply, each going out and coming in."""
    net.up(fresh.lo)
    with net.capture() as seen:
        assert net.ping("127.0.0.1", ns=fresh).ttl == 64

    assert [net.links(lo)[0].addresses for lo in (fresh.lo, host.lo)] == [("127.0.0.1/8",)] * 2
    assert seen.path(request) == seen.path(reply) == [fresh.lo]
    assert [frame.direction for frame in seen.frames(ICMP())] == ["out", "in", "out", "in"]


def test_lo_set_down_again(net: Network) -> None:
    """The address and its local route stay, so the kernel takes the packet, and drops it without a word."""
    net.up(fresh.lo)
    net.down(fresh.lo)
    with net.capture() as seen:
        answer = net.ping("127.0.0.1", ns=fresh)

    assert (answer.ok, answer.errno) == (False, 0)
    assert seen.where(request) == set()
    assert net.ping("127.0.0.1", ns=host)
    assert {route.type for route in net.routes(fresh, table=None)} == {"local"}


@confirms("netns-new-only-lo", "netns-lo-down-initial", "netns-mountpoint-listed")
@confirms("netns-survives-without-process", "netns-delete-clears-name")
def test_namespace_added_by_hand(net: Network) -> None:
    """It stands beside those of the lab, holds lo alone, and lives without a process until its name goes."""
    ip(net, "netns add third")
    assert {"host", "fresh", "third"} == {line.split()[0] for line in ip(net, "netns list").splitlines()}
    assert net.run(host, ["test", "-e", "/var/run/netns/third"])
    # Tunnel modules such as ipip, where loaded, add a device each (net.core.fb_tunnels_only_for_init_net).
    (lo,) = ip(net, "-oneline link", netns="third").splitlines()
    assert "lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN" in lo
    ip(net, "link set lo up", netns="third")
    assert "127.0.0.1/8" in ip(net, "address", netns="third")
    ip(net, "netns delete third")
    assert "third" not in ip(net, "netns list")
    assert not net.run(host, ["test", "-e", "/var/run/netns/third"])


@confirms("netns-isolated-routes", "netns-own-proc-net")
@refutes("netns-process-illusion")
def test_two_namespaces_compared(net: Network) -> None:
    """Interfaces, routes and neighbours of one are not in the other. Processes are: those belong to a PID namespace."""
    assert [net.links(dev)[0].state for dev in (host.lo, veth0, veth1)] == ["UNKNOWN", "UP", "UP"]
    assert [(route.dst, route.dev) for route in net.routes(host)] == [("10.1.1.0/24", "veth0")]
    assert net.routes(fresh, table=None) == []
    net.add_neighbour(veth0, "10.1.1.2", veth1.mac)
    for ns, shown in (host, {"lo:", "veth0:", "veth1:", "veth0", "10.1.1.2"}), (fresh, {"lo:"}):
        words = net.run(ns, ["cat", "/proc/net/dev", "/proc/net/route", "/proc/net/arp"]).stdout.split()
        assert {"lo:", "veth0:", "veth1:", "veth0", "10.1.1.2"}.intersection(words) == shown
    net.start(host, ["tail", "-f", "/proc/version"], ready="Linux")
    assert "tail" in net.run(fresh, ["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()


@confirms("netns-same-port-bind")
def test_one_port_in_two_namespaces(net: Network) -> None:
    """Each can listen on it, a second time neither; who connects to 127.0.0.1 meets only his own."""
    net.up(fresh.lo)
    for ns in (host, fresh):
        server = net.socket(ns, "tcp")
        server.bind(("127.0.0.1", 8080))
        server.listen()
    with net.capture() as seen:
        net.socket(fresh, "tcp").connect(("127.0.0.1", 8080))
    assert seen.path(TCP(flags="S")) == seen.path(TCP(flags="SA")) == [fresh.lo]
    with pytest.raises(OSError, match="Address already in use"):
        net.socket(host, "tcp").bind(("127.0.0.1", 8080))
