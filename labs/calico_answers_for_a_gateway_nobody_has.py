"""Calico answers for a gateway that nobody has.

    a 10.244.1.2/32             n1                                          b 10.244.1.3/32
    +----------------+   +--------------------------------------------+   +----------------+
    |  default via   |   |  10.244.1.2      dev calia                 |   |  default via   |
    |  169.254.1.1   |   |  10.244.1.3      dev calib                 |   |  169.254.1.1   |
    |  dev eth0      |   |  default         via the LAN's gateway     |   |  dev eth0      |
    |                |   |                                            |   |                |
    |          eth0 ====== calia     forwards, proxy_arp     calib ====== eth0            |
    +----------------+   +--------------------------------------------+   +----------------+

A pod is alone on its cable: its address is a /32, so nobody is on link, and all goes to a gateway. That has to be an
address, though none is needed, only a MAC: a asks for 169.254.1.1 and calia answers for it, as it would for any address
that n1 has a route to by another interface. From there on n1 is a router with a route for each pod, and no bridge.

Rebuilt: what Calico's CNI plugin, felix and BIRD write, as pktlab/cluster/calico.py says. Real: the kernel's part.
See DoNetworking() in cni-plugin/pkg/dataplane/linux/dataplane_linux.go of projectcalico/calico, arp_process() and
arp_fwd_proxy() in net/ipv4/arp.c, "proxy_arp" in Documentation/networking/ip-sysctl.rst, RFC 3927.
"""

import errno

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Cluster, Network, Topology, confirms, refutes

topology = Topology()
cluster = Cluster(topology, "calico")
n1 = cluster.node("n1")
a, b = n1.pod("a"), n1.pod("b")

GATEWAY, UPLINK = "169.254.1.1", "192.168.0.254"
question = ARP(op="who-has", pdst=GATEWAY)
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("calico-per-pod-route", "calico-no-bridge")
def test_from_pod_to_pod(net: Network) -> None:
    """n1 routes from one veth to the other: the TTL is 63 and both MACs are new; no bridge, and none is missed."""
    assert net.run(n1.ns, ["ip", "link", "show", "type", "bridge"]).stdout == ""
    ways = {(route.dst, route.dev) for route in net.routes(n1.ns) if route.dst.endswith("/32")}
    assert ways == {(f"{pod.ip}/32", pod.veth.name) for pod in (a, b)}
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns).ttl == 63
    assert seen.path(echo) == [a.eth0, a.veth, b.veth, b.eth0]
    assert seen.path(echo_reply) == [b.eth0, b.veth, a.veth, a.eth0]
    new = {"eth.src": (a.eth0.mac, b.veth.mac), "eth.dst": (a.veth.mac, b.eth0.mac), "ip.ttl": (64, 63)}
    assert seen.rewrites(echo) == {(a.veth, b.veth): new}
    net.del_route(n1.ns, f"{b.ip}/32", dev=b.veth)
    with net.capture() as seen:
        assert not net.ping(b.ip, ns=a.ns)
    assert seen.path(echo) == [a.eth0, a.veth]


@confirms("calico-proxy-arp-169-254")
def test_who_answers(net: Network) -> None:
    """Nobody has the address; calia says that it is at calia's MAC, and with proxy_arp off nobody says anything."""
    held = [address for ns in (n1.ns, a.ns, b.ns) for link in net.links(ns) for address in link.addresses]
    assert [address for address in held if address.startswith("169.254.")] == []
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns)
    assert seen.path(Ether(src=a.eth0.mac) / question) == [a.eth0, a.veth]
    assert seen.path(ARP(op="is-at", psrc=GATEWAY, hwsrc=a.veth.mac, pdst=a.ip)) == [a.veth, a.eth0]
    net.sysctl(a.veth, "net.ipv4.conf.{}.proxy_arp", 0)
    net.flush_neighbours(a.ns)
    with net.capture() as seen:
        assert not net.ping(b.ip, ns=a.ns)
    assert (seen.path(ARP()), seen.count(echo)) == ([a.eth0, a.veth], 0)


@confirms("calico-proxy-arp-needs-route")
def test_what_the_answer_needs(net: Network) -> None:
    """A route to the address by another interface than that which heard the question, and no long proxy_delay."""

    def answered() -> bool:
        with net.capture() as seen:
            net.send(Ether(dst="ff:ff:ff:ff:ff:ff") / question, dev=a.eth0)
        return bool(seen.path(ARP(op="is-at", psrc=GATEWAY)))

    assert answered()
    net.del_route(n1.ns, "default", via=UPLINK)
    assert not answered()
    net.add_route(n1.ns, f"{GATEWAY}/32", dev=a.veth)
    assert not answered()
    net.add_route(n1.ns, "default", via=UPLINK)
    assert not answered()
    net.del_route(n1.ns, f"{GATEWAY}/32", dev=a.veth)
    assert answered()
    net.sysctl(a.veth, "net.ipv4.neigh.{}.proxy_delay", 1_000_000)  # ticks, at most: it is drawn by lot
    assert not answered()


@refutes("calico-eth0-is-gateway", "calico-veth-equals-eth0-standpoint")
def test_two_tables(net: Network) -> None:
    """a's own table comes first and says: by eth0, to the MAC of calia. Without it nothing gets as far as eth0."""
    assert [(route.via, route.dev) for route in net.routes(a.ns) if route.dst == "default"] == [(GATEWAY, "eth0")]
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns)
    assert seen.path(Ether(src=a.eth0.mac, dst=a.veth.mac) / IP(ttl=64) / echo) == [a.eth0, a.veth]
    assert seen.where(ARP(pdst=b.ip)) == {b.veth, b.eth0}
    net.del_route(a.ns, "default", via=GATEWAY)
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns).errno == errno.ENETUNREACH
        assert net.ping(b.ip, ns=n1.ns)
    assert seen.path(IP(src=a.ip)) == []


def test_eth0_as_the_gateway(net: Network) -> None:
    """A route via a's own address is one without a gateway: a asks for b itself, and calia answers for b as well."""
    net.del_route(a.ns, "default", via=GATEWAY)
    net.add_route(a.ns, "default", via=a.ip)
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns).ttl == 63
    assert seen.path(ARP(op="who-has", psrc=a.ip, pdst=b.ip)) == [a.eth0, a.veth]
    assert seen.path(ARP(op="is-at", hwsrc=a.veth.mac, psrc=b.ip)) == [a.veth, a.eth0]
    assert seen.where(ARP(pdst=GATEWAY, psrc=a.ip)) == set()
