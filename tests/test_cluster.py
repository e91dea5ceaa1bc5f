"""A cluster in a few lines: the settings that upstream's daemons would write, and the ways of packets on them."""

from __future__ import annotations

import collections
import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import sandboxed
from scapy.layers.inet import ICMP, IP, UDP

from pktlab import Cluster, Network, Topology
from pktlab.cluster import Pod
from pktlab.cluster.cluster import FLAVOURS
from pktlab.errors import TopologyError
from pktlab.kernel.udptunnel import lowered
from pktlab.topology.settings import Nft

echo = ICMP(type="echo-request")


def three(network: str, **options: object) -> Cluster:
    """Three nodes, two pods on each of the first two."""
    cluster = Cluster(Topology(), network, **options)  # type: ignore[arg-type]
    n1, n2, _n3 = (cluster.node(name) for name in ("n1", "n2", "n3"))
    for node, names in (n1, "ab"), (n2, "cd"):
        for name in names:
            node.pod(name)
    return cluster


def words(cluster: Cluster, netns: str, *starts: str) -> list[str]:
    """The declared commands of a namespace that start with any of some words, less the place."""
    said = [
        s.command.replace(f"ip -n {netns} ", "ip ").replace(f" -n {netns} ", " ")
        for s in cluster.topology.settings
        if s.netns == netns
    ]
    return [each for each in said if each.startswith(starts)]


# Data


def test_vxlan_is_as_flannel_writes_it() -> None:
    cluster = three("vxlan")
    n2, n3 = cluster.nodes["n2"], cluster.nodes["n3"]
    (link,) = words(cluster, "n1", "ip link add flannel.1")
    assert link.endswith("mtu 1450 type vxlan id 1 dstport 8472 local 192.168.0.1 dev eth0 nolearning")
    assert words(cluster, "n1", "ip neigh", "bridge fdb", "ip route", "ip addr add 10.244.1.0") == [
        "ip route add default via 192.168.0.254",
        "ip addr add 10.244.1.0/32 dev flannel.1",
        f"ip neigh add 10.244.2.0 lladdr {n2.tunnel.mac} dev flannel.1 nud permanent",
        f"bridge fdb append {n2.tunnel.mac} dev flannel.1 dst 192.168.0.2",
        "ip route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
        f"ip neigh add 10.244.3.0 lladdr {n3.tunnel.mac} dev flannel.1 nud permanent",
        f"bridge fdb append {n3.tunnel.mac} dev flannel.1 dst 192.168.0.3",
        "ip route add 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink",
    ]


def test_calico_is_as_felix_and_bird_write_it() -> None:
    cluster = three("calico")
    assert words(cluster, "a", "ip addr", "ip route") == [
        "ip addr add 10.244.1.2/32 dev eth0",
        "ip route add 169.254.1.1/32 dev eth0 scope link",
        "ip route add default via 169.254.1.1 dev eth0",
    ]
    assert words(cluster, "n1", "ip route") == [
        "ip route add default via 192.168.0.254",
        "ip route add blackhole 10.244.1.0/26",
        "ip route add 10.244.2.0/26 via 192.168.0.2 dev eth0",
        "ip route add 10.244.3.0/26 via 192.168.0.3 dev eth0",
        "ip route add 10.244.1.2/32 dev calia scope link",
        "ip route add 10.244.1.3/32 dev calib scope link",
    ]


def test_calico_with_a_bird_lacks_what_bird_writes_and_nothing_else() -> None:
    plain, birds = ({s.command for s in three(network).topology.settings} for network in ("calico", "calico-bird"))
    assert birds <= plain
    assert {each for each in plain - birds if " -n n1 " in each} == {
        "ip -n n1 route add blackhole 10.244.1.0/26",
        "ip -n n1 route add 10.244.2.0/26 via 192.168.0.2 dev eth0",
        "ip -n n1 route add 10.244.3.0/26 via 192.168.0.3 dev eth0",
    }
    assert all(" route add " in each for each in plain - birds)


def test_host_gw_has_plain_routes_on_one_lan_only() -> None:
    cluster = Cluster(Topology(), "host-gw")
    cluster.node("n1"), cluster.node("n2"), cluster.node("n3", lan=1)
    assert words(cluster, "n1", "ip route") == [
        "ip route add default via 192.168.0.254",
        "ip route add 10.244.2.0/24 via 192.168.0.2 dev eth0",
    ]
    assert words(cluster, "n3", "ip route") == ["ip route add default via 192.168.1.254"]


def test_the_flavour_s_own_is_scenery_and_the_author_s_is_not() -> None:
    cluster = three("calico")
    plain = [s.command for s in cluster.topology.settings if not s.scenery and s.netns in ("a", "n1")]
    assert not [each for each in plain if " route " in each or "sysctl" in each]
    assert [each.split()[2] for each in plain if "type veth" in each] == ["a"]
    assert {"ip netns add a", "ip netns add n1"} <= set(plain)
    assert all(s.implied for s in cluster.topology.settings if s.scenery)
    web = cluster.service("web", "10.96.0.1", port=80, endpoints=[cluster.pods["c"]], nodes=[cluster.nodes["n2"]])
    assert {s.netns for s in cluster.topology.settings if isinstance(s, Nft)} == {"n2"}
    assert repr(web) == "web"


def test_a_reason_of_the_lab_s_counts() -> None:
    topology = Topology()
    with topology.scenery("mine"):
        Cluster(topology, "vxlan", masquerade=True).node("n1").pod("a")
    assert {s.scenery for s in topology.settings if not s.implied} == {"mine"}
    assert topology.reason == ""


def test_every_setting_is_placed_in_the_lab() -> None:
    cluster = three("vxlan")
    cluster.service("web", "10.96.0.1", port=80, endpoints=[cluster.pods["c"]])
    assert {s.origin.file for s in cluster.topology.settings} == {__file__}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cluster(Topology(), "wormhole"), "network 'wormhole' is unknown"),
        (lambda: Cluster(Topology(), proxy="ipvs"), "proxy 'ipvs' is unknown"),
        (lambda: three("bridge").nodes["n1"].tunnel, "n1 has no tunnel: the cluster's network is 'bridge'"),
        (lambda: three("calico").nodes["n1"].bridge, "n1 has no bridge"),
        (lambda: three("vxlan").nodes["n1"].program, "n1 has no program"),
        (lambda: three("vxlan").node("n1"), "already has a namespace 'n1'"),
        (lambda: three("vxlan").nodes["n1"].pod("a"), "already has a namespace 'a'"),
        (lambda: _twice(three("vxlan")), "already has a service 'web'"),
    ],
)
def test_refused(make: collections.abc.Callable[[], object], message: str) -> None:
    with pytest.raises(TopologyError, match=message) as error:
        make()
    assert error.value.file == __file__


def _twice(cluster: Cluster) -> None:
    for _ in range(2):
        cluster.service("web", "10.96.0.1", port=80, endpoints=[])


def test_a_node_runs_out_of_addresses() -> None:
    node = Cluster(Topology(), "bridge").node("n1", subnet="10.244.7.0/29")
    assert [node.pod(name).ip for name in "abcde"] == [f"10.244.7.{number}" for number in range(2, 7)]
    with pytest.raises(TopologyError, match=r"n1 has no address left in 10.244.7.0/29"):
        node.pod("f")


def test_overlapping_subnets_have_no_way_to_each_other() -> None:
    cluster = Cluster(Topology(), "vxlan")
    cluster.node("n1", subnet="10.244.1.0/24"), cluster.node("n2", subnet="10.244.1.0/24"), cluster.node("n3")
    assert [each.split()[3] for each in words(cluster, "n1", "ip route")] == ["default", "10.244.2.0/24"]


@given(st.binary(min_size=20, max_size=60), st.integers(0, 255))
def test_a_lowered_ttl_keeps_the_checksum_right(payload: bytes, ttl: int) -> None:
    packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2", ttl=ttl) / UDP() / payload)
    if ttl <= 1:
        assert lowered(packet) == b""
        return
    read = IP(lowered(packet))
    said, read.chksum = read.chksum, None
    assert (read.ttl, IP(bytes(read)).chksum) == (ttl - 1, said)


# On the wire


@sandboxed
def test_two_pods_of_one_node_in_every_flavour() -> None:
    """Whatever leads to other nodes, and where nothing does."""
    for network in FLAVOURS:
        cluster = three(network)
        a, b = cluster.pods["a"], cluster.pods["b"]
        with Network(cluster.topology) as net:
            with net.capture() as seen:
                assert net.ping(b.ip, dev=a.eth0).ttl == (63 if network.startswith("calico") else 64), network
            assert seen.path(echo) == [a.eth0, a.veth, b.veth, b.eth0], network


@sandboxed
def test_the_way_of_each_flavour() -> None:
    for network in ("vxlan", "host-gw", "calico", "calico-vxlan"):
        cluster = three(network)
        a, b, c, n1, n2 = *(cluster.pods[name] for name in "abc"), cluster.nodes["n1"], cluster.nodes["n2"]
        inside = [] if network.startswith("calico") else [n1.bridge]
        tunnel = [n1.tunnel] if network in ("vxlan", "calico-vxlan") else []
        wire = [n1.eth0, n1.port, n2.port, n2.eth0]
        there = [n2.tunnel] if tunnel else []
        landing = [n2.bridge] if inside else []
        with Network(cluster.topology) as net:
            with net.capture() as seen:
                assert net.ping(c.ip, dev=a.eth0).ttl == 62
            assert seen.path(echo) == [a.eth0, a.veth, *inside, *tunnel, *wire, *there, *landing, c.veth, c.eth0]
            with net.capture() as seen:
                assert net.ping(b.ip, dev=a.eth0).ttl == (63 if network.startswith("calico") else 64)
            assert seen.path(echo) == [a.eth0, a.veth, b.veth, b.eth0]


@sandboxed
def test_a_program_carries_the_packets_of_udp() -> None:
    cluster = three("udp")
    a, c, n1, n2 = *(cluster.pods[name] for name in "ac"), cluster.nodes["n1"], cluster.nodes["n2"]
    with Network(cluster.topology) as net:
        assert not net.ping(c.ip, dev=a.eth0), "nobody reads flannel0 yet"
        programs = [net.start(node.ns, node.program, ready="ready") for node in (n1, n2)]
        with net.capture() as seen:
            # Each forwarding node and each program takes one off.
            assert net.ping(c.ip, dev=a.eth0).ttl == 60
        # On the wire it is the payload of a UDP packet; the tuns show it bare again.
        there, back = [a.eth0, a.veth, n1.bridge, n1.tunnel], [n2.tunnel, n2.bridge, c.veth, c.eth0]
        assert seen.path(IP(src=a.ip, dst=c.ip) / echo) == there + back
        assert seen.where(IP(src=n1.ip, dst=n2.ip) / UDP(sport=8285, dport=8285)) == {
            n1.eth0,
            n1.port,
            n2.port,
            n2.eth0,
        }
        assert programs[0].output.splitlines() == [
            "ready",
            "read tun, sendto udp 192.168.0.2: 84",
            "recvfrom udp 192.168.0.2, write tun: 84",
        ]
        with net.capture(ring=True) as seen:
            assert net.ping(c.ip, dev=a.eth0)
        assert seen.path(IP(src=a.ip, dst=c.ip) / echo) == there + back


@sandboxed
def test_nodes_on_two_lans() -> None:
    for network, answered in ("calico", False), ("calico-cross-subnet", True), ("host-gw", False), ("vxlan", True):
        cluster = Cluster(Topology(), network)
        n1, n2, n3 = cluster.node("n1"), cluster.node("n2"), cluster.node("n3", lan=1)
        a, b, c = n1.pod("a"), n2.pod("b"), n3.pod("c")
        with Network(cluster.topology) as net:
            assert net.ping(n3.ip, dev=n1.eth0).ttl == 63
            with net.capture() as seen:
                assert net.ping(b.ip, dev=a.eth0)
                assert net.ping(c.ip, dev=a.eth0).ok == answered
            if network == "calico-cross-subnet":
                assert seen.where(IP(dst=b.ip) / echo).isdisjoint({n1.tunnel, n2.tunnel})
                assert {n1.tunnel, n3.tunnel} < seen.where(IP(dst=c.ip) / echo)


@sandboxed
def test_masquerade_is_for_what_leaves_the_cluster() -> None:
    cluster = three("vxlan", masquerade=True)
    _ext, nic = cluster.host("ext")
    a, c = cluster.pods["a"], cluster.pods["c"]
    with Network(cluster.topology) as net:
        with net.capture() as seen:
            assert net.ping(nic.ip, dev=a.eth0)
            assert net.ping(c.ip, dev=a.eth0)
        assert {frame.interface for frame in seen.frames(IP(src=a.ip) / echo)}.isdisjoint({nic})
        assert c.eth0 in seen.where(IP(src=a.ip, dst=c.ip) / echo)


class Backend:
    """A server on a pod that says who asked; accepted when looked at, so nothing has to run beside the test."""

    def __init__(self, net: Network, pod: Pod, port: int) -> None:
        self.socket = net.socket(pod.ns, "tcp")
        self.socket.bind((pod.ip, port))
        self.socket.listen(400)
        self.socket.setblocking(False)

    def clients(self) -> list[str]:
        found: list[str] = []
        while True:
            try:
                connection, (client, _port) = self.socket.accept()
            except BlockingIOError:
                return found
            connection.close()
            found.append(client)


def connect(net: Network, where: object, ip: str, port: int) -> str:
    """How a connection went: "" if it was accepted, else the error's words."""
    with net.socket(where, "tcp", timeout=0.3) as client:  # type: ignore[arg-type]
        try:
            client.connect((ip, port))
        except OSError as error:
            return error.strerror or "timed out"
    return ""


@pytest.mark.parametrize("proxy", ["iptables", "nftables"])
@sandboxed
def test_services(proxy: str) -> None:
    cluster = three("vxlan", proxy=proxy)
    a, b, c, d = (cluster.pods[name] for name in "abcd")
    n1, n2, n3 = cluster.nodes.values()
    ext, nic = cluster.host("ext")
    web = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[b, c, d], node_port=30080)
    cluster.service("near", "10.96.0.11", port=80, target_port=8080, endpoints=[c], node_port=30081, local=True)
    cluster.service("one", "10.96.0.12", port=80, target_port=8080, endpoints=[b, c, d], affinity=60)
    cluster.service("none", "10.96.0.13", port=80, endpoints=[])
    late = cluster.node("n4").pod("late")
    with Network(cluster.topology) as net:
        servers = {pod.name: Backend(net, pod, 8080) for pod in (b, c, d)}
        for _ in range(90):
            assert connect(net, a.ns, web.ip, 80) == ""
        counts = {name: server.clients() for name, server in servers.items()}
        assert all(12 < len(clients) < 50 and set(clients) == {a.ip} for clients in counts.values()), counts
        assert connect(net, a.ns, web.ip, 81) != ""
        assert not net.ping(web.ip, dev=a.eth0)
        # From a node, from another node's NIC, from a node that came later, and an endpoint that may meet itself.
        for where in (n1.ns, n3.ns, late.ns, *[b.ns] * 8):
            assert connect(net, where, web.ip, 80) == ""
        assert connect(net, ext, n3.ip, 30080) == ""
        assert {client for server in servers.values() for client in server.clients()} >= {n3.tunnel.ip, late.ip}
        # Local: only where the endpoint is, and its client is the true one.
        assert connect(net, ext, n2.ip, 30081) == ""
        assert servers["c"].clients() == [nic.ip]
        assert connect(net, ext, n1.ip, 30081) == "timed out"
        for _ in range(10):
            assert connect(net, a.ns, "10.96.0.12", 80) == ""
        assert sorted(len(server.clients()) for server in servers.values()) == [0, 0, 10]
        assert connect(net, a.ns, "10.96.0.13", 80) == connect(net, n1.ns, "10.96.0.13", 80) == "Connection refused"
        net.nft(n1.ns, cluster.rules(n1, {web: [d]}))
        for _ in range(5):
            assert connect(net, a.ns, web.ip, 80) == ""
        assert [len(servers[name].clients()) for name in "bcd"] == [0, 0, 5]


@pytest.mark.parametrize("network", ["vxlan", "calico"])
@sandboxed
def test_thirty_pods_a_node(network: str) -> None:
    """Three nodes with 30 pods each come up, and a path across is asserted, in less than 5 s; idle, it takes 0.4."""
    # On a machine that others keep busy one of three is enough.
    assert any(_ninety_pods(network) < 5 for _ in range(3))


def _ninety_pods(network: str) -> float:
    began = time.monotonic()
    cluster = Cluster(Topology(), network)
    for name in ("n1", "n2", "n3"):
        node = cluster.node(name)
        for number in range(30):
            node.pod(f"{name}p{number}")
    first, last = cluster.pods["n1p0"], cluster.pods["n3p29"]
    n1, n3 = cluster.nodes["n1"], cluster.nodes["n3"]
    out, back = ([n1.bridge, n1.tunnel], [n3.tunnel, n3.bridge]) if network == "vxlan" else ([], [])
    with Network(cluster.topology) as net:
        with net.capture() as seen:
            assert net.ping(last.ip, dev=first.eth0).ttl == 62
        way = [first.eth0, first.veth, *out, n1.eth0, n1.port, n3.port, n3.eth0, *back, last.veth, last.eth0]
        assert seen.path(echo) == way
    seconds = time.monotonic() - began
    assert len({pod.ip for pod in cluster.pods.values()}) == 90
    assert all(ipaddress.ip_address(pod.ip) in pod.node.subnet for pod in cluster.pods.values())
    return seconds
