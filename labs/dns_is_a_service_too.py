"""DNS is a service too.

    n1                                          n2
    +-------------------------------+          +-----------------------------+
    |  a .1.2   dns1 .1.3   w1 .1.4 |          |  dns2 .2.2   w2 .2.3        |
    |     \\        |         /      |          |     \\        /              |
    |      cni0 ------- flannel.1 . . . VXLAN . . . flannel.1 - cni0         |
    |  10.96.0.10:53 -> .1.3 | .2.2 |          |                             |
    +-------------------------------+          +-----------------------------+

A container asks 10.96.0.10, which no interface has. Its node's rules translate each query to one of the DNS servers, as
they do for any service, and the answer back. What the answer holds depends on the service asked about: the one address
that its node translates as well, or, if it is headless, those of all its pods, which are then reached as they are.

Real: the servers (dnsmasq), glibc, nslookup (BusyBox's, as in many images). Rebuilt: CoreDNS's records, kube-proxy's
rules (see pktlab.Cluster). See docs/specification.md of kubernetes/dns, RFC 1035 3.5 and RFC 2782.
"""

import pytest
from cluster_dns import VIP, ask, asked, dnsmasq, resolved
from scapy.layers.inet import IP, TCP, UDP

from pktlab import Cluster, Network, Topology, confirms, refutes

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, dns1, w1, dns2, w2 = (*(n1.pod(name) for name in ("a", "dns1", "w1")), *(n2.pod(name) for name in ("dns2", "w2")))
kube_dns = cluster.service("kube-dns", VIP, port=53, endpoints=[dns1, dns2], protocol="udp", nodes=[n1])
web = cluster.service("web", "10.96.0.20", port=80, endpoints=[w1, w2], nodes=[n1])

WEB, PEERS, W1 = (
    f"{name}.cluster.local" for name in ("web.default.svc", "peers.default.svc", "10-244-1-4.default.pod")
)
RECORDS = [f"host-record={WEB},{web.ip}", *(f"host-record={PEERS},{pod.ip}" for pod in (w1, w2))]
RECORDS += [f"host-record={W1},{w1.ip}", f"srv-host=_http._tcp.{WEB},{WEB},80"]
query, syn = UDP(dport=53), TCP(flags="S")
WAY_1 = [a.eth0, a.veth, dns1.veth, dns1.eth0]
TUNNEL = [n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel]
WAY_2 = [a.eth0, a.veth, n1.bridge, *TUNNEL, n2.bridge, dns2.veth, dns2.eth0]


def serve(net: Network, *names: str) -> None:
    """Start both DNS servers, which know the same, or those of these names; that a can reach them is seen before."""
    servers = [cluster.pods[name] for name in names or ("dns1", "dns2")]
    assert [pod for pod in servers if not net.ping(pod.ip, ns=a.ns)] == []
    for pod in servers:
        net.start(pod.ns, dnsmasq(*RECORDS), ready="started, version")


@confirms("coredns-as-service")
def test_two_servers_behind_one_address(net: Network) -> None:
    """Of many queries some go to one and some to the other; all answers come from the one address that was asked."""
    serve(net)
    assert net.ping(dns1.ip, ns=n1.ns)  # Until n1 knows its MAC, the packet would wait on cni0.
    with net.capture() as seen:
        for _ in range(64):
            assert ask(net, a.ns, WEB) == [web.ip]
            if seen.where(query) >= {dns1.eth0, dns2.eth0}:
                break
    assert {tuple(path) for path in seen.paths(query)} == {tuple(WAY_1), tuple(WAY_2)}
    assert seen.where(IP(dst=VIP)) == {a.eth0, a.veth}
    assert seen.rewrites(IP(src=dns1.ip) / UDP()) == {(dns1.veth, a.veth): {"ip.src": (dns1.ip, VIP)}}


def test_a_server_leaves(net: Network) -> None:
    """The rules name the other one, and nobody who asks notices; when they name none, asking is refused at once."""
    serve(net, "dns2")
    net.nft(n1.ns, cluster.rules(n1, {kube_dns: [dns2]}))
    with net.capture() as seen:
        for _ in range(8):
            assert ask(net, a.ns, WEB) == [web.ip]
    assert (seen.count(query), seen.path(query)) == (8, WAY_2)
    net.nft(n1.ns, cluster.rules(n1, {kube_dns: []}))
    with net.capture() as seen, pytest.raises(ConnectionRefusedError):
        ask(net, a.ns, WEB)
    assert seen.path(query) == [a.eth0, a.veth, n1.bridge]


def test_records(net: Network) -> None:
    """A service has its one address, a headless one its pods', a pod its own; ports and names can be asked for too."""
    serve(net)
    assert [resolved(net, a.ns, name) for name in ("web", W1)] == [[web.ip], [w1.ip]]
    assert sorted(resolved(net, a.ns, "peers")) == [w1.ip, w2.ip]
    assert ask(net, a.ns, f"_http._tcp.{WEB}", "SRV") == [f"{WEB}.:80"]
    assert ask(net, a.ns, "20.0.96.10.in-addr.arpa", "PTR") == [f"{WEB}."]
    assert ask(net, a.ns, "nobody.default.svc.cluster.local") == []


def test_what_the_answer_leads_to(net: Network) -> None:
    """The address of a service is translated once more on the way; those of a headless one are the pods' own."""
    serve(net)
    for pod in (w1, w2):
        listener = net.socket(pod.ns, "tcp")
        listener.bind((pod.ip, 80))
        listener.listen()
    with net.capture() as seen:
        for ip in (*resolved(net, a.ns, "web"), *sorted(resolved(net, a.ns, "peers"))):
            net.socket(a.ns, "tcp").connect((ip, 80))
    assert seen.path(IP(dst=web.ip) / syn) == [a.eth0, a.veth]
    ways = [[a.eth0, a.veth, w1.veth, w1.eth0], [a.eth0, a.veth, n1.bridge, *TUNNEL, n2.bridge, w2.veth, w2.eth0]]
    assert seen.paths(IP(dst=[w1.ip, w2.ip]) / syn)[-2:] == ways


@refutes("nslookup-gives-name-for-ip")
def test_nslookup(net: Network) -> None:
    """A name is asked for addresses, and it is an address that comes back; for the name, the address must be given."""
    serve(net)
    answers, questions = [], []
    for word in (WEB, web.ip):
        with net.capture() as seen:
            answers.append(net.run(a.ns, ["busybox", "nslookup", "-retry=1", "-timeout=2", word, VIP]).stdout)
        questions.append(sorted(asked(seen.frames(query, on=a.eth0))))
    assert questions == [[(WEB, "A"), (WEB, "AAAA")], [("20.0.96.10.in-addr.arpa", "PTR")]]
    assert f"Name:\t{WEB}\nAddress: {web.ip}\n" in answers[0]
    assert f"20.0.96.10.in-addr.arpa\tname = {WEB}\n" in answers[1]
