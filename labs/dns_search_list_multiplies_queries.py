"""A DNS search list multiplies queries.

    a 10.244.1.2                n1                            dns 10.244.1.3
    +------------------+   +------------------------+   +-------------------------+
    |  glibc           |   |      cni0              |   |  dnsmasq                |
    |  /etc/resolv.conf|   |  10.96.0.10 -> .1.3    |   |    cluster.local: knows |
    |           eth0 ====== veth               veth ====== eth0  all else: asks   |
    +------------------+   |        eth0            |   +---------- | ------------+
                           +-------- || ------------+               |
                                switch ==== eth0 ext: dnsmasq <-----+
                                            knows example.com

kubelet writes into a container's resolv.conf the address of the DNS service, three domains to try a name in, and
ndots:5: a name with fewer than five dots is first looked for in each of them, and only then as it stands. So "web" is
found, and "example.com" costs four queries, or eight if IPv6 is asked for too. A dot at the end ends that.

Real: glibc's resolver and both servers. Rebuilt: CoreDNS's records, and the file, as GetPodDNS() in
pkg/kubelet/network/dns/dns.go of kubernetes/kubernetes makes it. Replays kubernetes/kubernetes#14051, where a cloud's
DNS throttled a cluster for it; #33554 is about a smaller number. See resolv.conf(5), hosts(5).
"""

import sys

import pytest
from cluster_dns import RESOLV_CONF, SEARCH, VIP, asked, dnsmasq, inside, resolved
from scapy.layers.inet import UDP

from pktlab import Cluster, Network, Topology, refutes

topology = Topology()
cluster = Cluster(topology, "bridge", masquerade=True)
n1 = cluster.node("n1")
a, dns = n1.pod("a"), n1.pod("dns")
ext, eth0 = cluster.host("ext")
kube_dns = cluster.service("kube-dns", VIP, port=53, endpoints=[dns], protocol="udp")

query = UDP(dport=53)
WEB, FILE = "web.default.svc.cluster.local", "resolv.conf"
GUESSES = [f"example.com.{domain}" for domain in SEARCH]
LOOKUP = "import socket; print(socket.getaddrinfo('example.com', 80)[0][4][0])"


def serve(net: Network, *, outside: bool = True) -> None:
    """Start the cluster's DNS server, and the one outside that it asks for what is not the cluster's.

    That each can be reached is seen before; else a query would cost its deadline, and say less.
    """
    assert net.ping(dns.ip, ns=a.ns)
    if outside:
        assert net.ping(eth0.ip, ns=dns.ns)
        net.start(ext, dnsmasq("local=/com/", "host-record=example.com,192.0.2.1"), ready="started, version")
    net.start(dns.ns, dnsmasq(f"host-record={WEB},10.96.0.20", upstream=eth0.ip), ready="started, version")


def test_an_outside_name(net: Network) -> None:
    """Three guesses that the cluster's server denies, and then the name: that alone is asked for outside."""
    serve(net)
    with net.capture() as seen:
        assert resolved(net, a.ns, "example.com") == ["192.0.2.1"]
    assert asked(seen.frames(query, on=a.eth0)) == [(name, "A") for name in [*GUESSES, "example.com"]]
    assert asked(seen.frames(query, on=eth0)) == [("example.com", "A")]


def test_both_families(net: Network) -> None:
    """A program that will have IPv4 or IPv6 asks for both each time, from one port: eight queries, one address."""
    serve(net)
    with net.capture() as seen:
        assert inside(net, a.ns, [sys.executable, "-c", LOOKUP]) == "192.0.2.1\n"
    names = [*GUESSES, "example.com"]
    assert asked(seen.frames(query, on=a.eth0)) == [(name, kind) for name in names for kind in ("A", "AAAA")]


@pytest.mark.parametrize(
    ("name", "ndots"), [("example.com.", 5), ("example.com", 1)], ids=["dot_at_the_end", "ndots_is_1"]
)
def test_without_the_search(net: Network, name: str, ndots: int) -> None:
    """One query is enough."""
    serve(net)
    with net.capture() as seen:
        assert resolved(net, a.ns, name, {FILE: RESOLV_CONF.replace("ndots:5", f"ndots:{ndots}")}) == ["192.0.2.1"]
    assert asked(seen.frames(query, on=a.eth0)) == [("example.com", "A")]


def test_names_of_the_cluster(net: Network) -> None:
    """The shorter the name, the fewer queries: the full one has four dots, and is tried in vain three times before."""
    serve(net, outside=False)
    tried = {"web": [WEB], "web.default": [f"web.default.{SEARCH[0]}", WEB]}
    tried |= {WEB: [*(f"{WEB}.{domain}" for domain in SEARCH), WEB], f"{WEB}.": [WEB]}
    for name, names in tried.items():
        with net.capture() as seen:
            assert resolved(net, a.ns, name) == ["10.96.0.20"]
        assert asked(seen.frames(query, on=a.eth0)) == [(each, "A") for each in names]


@refutes("dns-resolv-conf-holds-mapping")
def test_which_file_has_addresses(net: Network) -> None:
    """Names have their addresses in hosts. In resolv.conf a pair means nothing, and resolve.conf nobody reads."""
    serve(net)
    pair, name = "10.9.9.9 db.example.com\n", "db.example.com"
    with net.capture() as seen:
        assert resolved(net, a.ns, name, {"hosts": pair}) == ["10.9.9.9"]
    assert seen.count(query) == 0
    for files in {FILE: RESOLV_CONF + pair}, {"resolve.conf": pair}:
        with net.capture() as seen:
            assert resolved(net, a.ns, name, files) == []
        assert asked(seen.frames(query, on=a.eth0))[-1] == (name, "A")
    with net.capture() as seen:
        assert resolved(net, a.ns, "web", {FILE: "", "resolve.conf": RESOLV_CONF}) == []
    # A glibc that is told of no server asks one on its own host.
    assert seen.where(query) == {a.ns.lo}
