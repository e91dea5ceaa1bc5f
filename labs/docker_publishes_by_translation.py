"""Docker publishes a port by translating the address.

    c1 172.17.0.2                host                                   ext
    +------------+    +-------------------------------------+     +-----------------+
    |      eth0 ====== p1 --+                               |     |                 |
    +------------+    |     |-- docker0 . . router . . eth0 ========= eth0          |
    |      eth0 ====== p2 --+   172.17.0.1   192.168.3.101  |     |  192.168.3.102  |
    +------------+    +-------------------------------------+     +-----------------+
    c2 172.17.0.3

A container has an address that nobody outside knows. On its way out it borrows the host's (MASQUERADE); whoever wants
something of it asks the host at a port that the host's rules translate (DNAT). Both need a host that forwards.

Rebuilt: Docker's rules, as setupIPTablesInternal() in libnetwork/drivers/bridge/setup_ip_tables_linux.go of moby/moby
and its port mapper write them, without the userland proxy. See "dnat" in nft(8), nf_nat_setup_info() in
net/netfilter/nf_nat_core.c.
"""

from scapy.layers.inet import ICMP, IP, TCP

from pktlab import Namespace, Network, Topology, confirms

topology = Topology()
host, ext = topology.namespace("host"), topology.namespace("ext")
c1, c2 = topology.namespace("c1"), topology.namespace("c2")
p1, eth1 = host.veth("p1", "eth0", netns=c1)
p2, eth2 = host.veth("p2", "eth0", netns=c2)
eth0, far = host.veth("eth0", "eth0", netns=ext)
docker0 = host.bridge("docker0", ports=[p1, p2]).address("172.17.0.1/16")
eth1.address("172.17.0.2/16")
eth2.address("172.17.0.3/16")
eth0.address("192.168.3.101/24")
far.address("192.168.3.102/24")
for container in (c1, c2):
    container.route("default", via="172.17.0.1")
host.sysctl("net.ipv4.ip_forward", 1)  # dockerd sets it: the containers' way out leads through the host.
host.nft("""table ip nat {
    chain DOCKER {
        iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority -100
        fib daddr type local jump DOCKER
    }
    chain OUTPUT {
        type nat hook output priority -100
        ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER
    }
    chain POSTROUTING {
        type nat hook postrouting priority 100
        oifname != "docker0" ip saddr 172.17.0.0/16 masquerade
    }
}""")

echo, syn, synack = ICMP(type="echo-request"), TCP(flags="S"), TCP(flags="SA")


def connected(net: Network, ns: Namespace, ip: str, port: int) -> str:
    """Connect from a namespace to a port, while c1 listens on its port 80; who the client was to c1, or what failed."""
    with net.socket(c1, "tcp") as server, net.socket(ns, "tcp", timeout=0.5) as client:
        server.bind(("172.17.0.2", 80))
        server.listen()
        try:
            client.connect((ip, port))
        except OSError as error:
            return str(error.strerror or error)
        return str(server.accept()[1][0])


@confirms("docker0-as-gateway")
def test_switch_and_gateway(net: Network) -> None:
    """Between containers docker0 is a switch; for all else it is their gateway, and the host's own leg among them."""
    with net.capture() as seen:
        assert net.ping("172.17.0.3", dev=eth1).ttl == 64
        assert net.ping("172.17.0.2", ns=host).ttl == 64
        assert net.ping("192.168.3.101", ns=c2).ttl == 64
        assert net.ping("192.168.3.102", ns=c1).ttl == 63
    ways = ("172.17.0.3", [eth1, p1, p2, eth2]), ("172.17.0.2", [docker0, p1, eth1])
    for dst, way in (*ways, ("192.168.3.101", [eth2, p2, docker0]), ("192.168.3.102", [eth1, p1, docker0, eth0, far])):
        assert seen.path(IP(dst=dst) / echo) == way
    net.add_route(c1, "172.17.0.3/32", via="172.17.0.1")  # The host sends it back into docker0, and does not translate.
    with net.capture() as seen:
        assert net.ping("172.17.0.3", dev=eth1).ttl == 64
    assert seen.path(IP(src="172.17.0.2", dst="172.17.0.3") / echo) == [eth1, p1, docker0, p2, eth2]


def test_each_is_necessary(net: Network) -> None:
    """Without MASQUERADE the packet arrives and no answer finds back; without forwarding it ends on docker0."""
    net.nft(host, "flush chain ip nat POSTROUTING")
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", ns=c1)
        net.sysctl(host, "net.ipv4.ip_forward", 0)
        assert not net.ping("192.168.3.102", ns=c1)
        assert net.ping("192.168.3.101", ns=c1)
    assert seen.paths(IP(src="172.17.0.2", dst="192.168.3.102")) == [
        [eth1, p1, docker0, eth0, far],
        [eth1, p1, docker0],
    ]


def test_published_port(net: Network) -> None:
    """ext speaks to the host's port 8080 and c1 hears it on 80, from ext itself; the answers come from the host."""
    with net.capture() as seen:
        assert connected(net, ext, "192.168.3.101", 8080) == "192.168.3.102"
    assert seen.path(syn) == [far, eth0, docker0, p1, eth1]
    there, back = seen.rewrites(syn)[eth0, docker0], seen.rewrites(synack)[docker0, eth0]
    assert (there["ip.dst"], there["tcp.dstport"]) == (("192.168.3.101", "172.17.0.2"), (8080, 80))
    assert (back["ip.src"], back["tcp.srcport"]) == (("172.17.0.2", "192.168.3.101"), (80, 8080))
    net.nft(host, "flush chain ip nat DOCKER")
    assert connected(net, ext, "192.168.3.101", 8080) == "Connection refused"


def test_published_port_from_within(net: Network) -> None:
    """The host gets there too, by the output hook; a container does not by the rules, Docker has a proxy for it."""
    with net.capture() as seen:
        assert connected(net, host, "192.168.3.101", 8080) == "192.168.3.101"
    assert seen.path(IP(dst="172.17.0.2") / syn) == [docker0, p1, eth1]
    assert connected(net, c2, "192.168.3.101", 8080) == "Connection refused"
    assert connected(net, c2, "172.17.0.2", 80) == "172.17.0.3"
