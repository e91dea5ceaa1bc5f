"""felix makes routes of endpoints.

             || =========== switch ============ || ============================= ||
    +------ eth0 .10 -----+    +----------- n1 eth0 .1 ------+    +--------- n2 eth0 .2 -----+
    | etcd: pool, nodes,  |    | felix                       |    | felix                    |
    |   blocks, policies, |    |   web: caliweb, db: calidb  |    |   far: califar           |
    |   endpoints         |    |   its block: blackhole      |    |   its block: blackhole   |
    |                     |    |   n2's block: via n2        |    |   n1's block: via n1     |
    +---------------------+    +--- caliweb ------ calidb ---+    +--------- califar --------+
                                       || web        || db                     || far

Calico's IPAM cuts its pool into blocks, gives a node one when it needs one, and a pod an address of its node's. The CNI
plugin writes the pod down as an endpoint: its node, interface, address, labels. No route is in etcd: felix, on each
node, works out what follows: a route to each pod of its own and to each block of others, a blackhole for what is left
of its own; and, from labels, which addresses may send to which of its pods.

Real: etcd, nft. Rebuilt: felix (labs/felix.py names the sources), IPAM and the keys (labs/calico_etcd.py), and what the
CNI plugin does to a pod, DoNetworking() in cni-plugin/pkg/dataplane/linux/dataplane_linux.go of projectcalico/calico.
See arp_process() in net/ipv4/arp.c, "blackhole" in ip-route(8). BIRD and BGP have labs of their own.
"""

import pytest
from calico_etcd import Calico, assign, block, ways
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology

topology = Topology()
lan, master, n1, n2 = map(topology.namespace, ("lan", "master", "n1", "n2"))
(eth_m, port_m), (eth_1, port_1), (eth_2, port_2) = (ns.veth("eth0", ns.name, netns=lan) for ns in (master, n1, n2))
switch = lan.bridge("switch", ports=[port_m, port_1, port_2])
for nic, number in (eth_m, 10), (eth_1, 1), (eth_2, 2):
    nic.address(f"192.168.0.{number}/24")
for node in n1, n2:
    node.sysctl("net.ipv4.ip_forward", 1)
    # Proxy ARP answers for what there is a route to by another interface.
    node.route("default", via="192.168.0.254")
web, db, far = (
    topology.namespace(name).veth("eth0", f"cali{name}", netns=node, peer_mac="ee:ee:ee:ee:ee:ee")
    for name, node in (("web", n1), ("db", n1), ("far", n2))
)
for eth0, _ in web, db, far:
    eth0.namespace.route("169.254.1.1", dev=eth0, scope="link")
    eth0.namespace.route("default", via="169.254.1.1", dev=eth0)

FROM_FAR = [*far, eth_2, port_2, port_1, eth_1]
NICS, echo = (eth_m, eth_1, eth_2), ICMP(type="echo-request")


def test_pods_come(net: Network) -> None:
    """A node has a route to each of its pods and to the other's block, made of keys of which none is a route."""
    calico = Calico(net, *NICS)
    ip_web, ip_db, ip_far = (calico.pod(*pod) for pod in (web, db, far))
    calico.felix()
    both = {block(ip_web): "blackhole", block(ip_far): eth_2.ip}
    assert ways(net, eth_1) == {f"{ip_web}/32": "caliweb", f"{ip_db}/32": "calidb"} | both
    assert ways(net, eth_2) == {f"{ip_far}/32": "califar", block(ip_far): "blackhole", block(ip_web): eth_1.ip}
    assert {k.split("/")[-2] for k in calico.store.below("/")[0]} == {"ippools", "nodes", "workloadendpoints", "block"}
    with net.capture() as seen:
        assert [net.ping(ip_db, ns=pod[0].namespace).ttl for pod in (far, web)] == [62, 63]
    assert seen.paths(echo) == [[*FROM_FAR, *db[::-1]], [*web, *db[::-1]]]


def test_without_felix(net: Network) -> None:
    """Nothing comes of what is in etcd. Once it has been done it stays: packets need neither etcd nor felix."""
    calico = Calico(net, *NICS)
    ip_web, _ = calico.pod(*web), calico.pod(*far)
    with net.capture() as seen:
        assert not net.ping(ip_web, ns=far[0].namespace, timeout=0.2)
    assert (ways(net, eth_1), seen.path(ARP(pdst="169.254.1.1")), seen.count(echo)) == ({}, [*far], 0)
    calico.felix()
    for program in calico.programs:
        program.stop()
    assert net.ping(ip_web, ns=far[0].namespace)


@pytest.mark.parametrize("label", ["web", "other"])
def test_a_policy(net: Network, label: str) -> None:
    """It lets in to db who is called web, even who comes later; what another sends ends on db's node."""
    calico = Calico(net, *NICS)
    ingress = [{"action": "Allow", "source": {"selector": "app == 'web'"}}]
    calico.write("globalnetworkpolicies", "db", {"spec": {"selector": "app == 'db'", "ingress": ingress}})
    ip_db = calico.pod(*db, label="db")
    calico.felix()
    ip_far = calico.pod(*far, label=label)
    calico.felix()
    with net.capture() as seen:
        assert net.ping(ip_db, ns=far[0].namespace, timeout=0.2).ok == (label == "web")
        assert net.ping(ip_far, ns=db[0].namespace)
    assert seen.path(IP(src=ip_far) / echo) == ([*FROM_FAR, *db[::-1]] if label == "web" else FROM_FAR)
    calico.write("globalnetworkpolicies", "db", None)
    calico.felix()
    assert net.ping(ip_db, ns=far[0].namespace)


def test_a_pod_goes(net: Network) -> None:
    """Its route goes with its endpoint. What is still sent to it ends without a word, in the blackhole of its block."""
    calico = Calico(net, *NICS)
    ip_db, _ = calico.pod(*db), calico.pod(*far)
    calico.felix()
    assert f"{ip_db}/32" in ways(net, eth_1)
    calico.write("workloadendpoints", "db", None)
    calico.felix()
    with net.capture() as seen:
        assert net.ping(ip_db, ns=far[0].namespace, timeout=0.2).error == ""
    assert (seen.path(echo), ways(net, eth_1)[block(ip_db)]) == (FROM_FAR, "blackhole")


@pytest.mark.parametrize(("size", "number"), [(26, 1), (30, 2)])
def test_a_block_is_full(net: Network, size: int, number: int) -> None:
    """Five pods on n1: a block of 64 has room for them, two of four are needed; n2 has a route to each."""
    calico = Calico(net, *NICS, size=size)
    ips = [*(assign(calico.store, "n1", f"pod{count}") for count in range(4)), calico.pod(*web)]
    calico.pod(*far)
    calico.felix()
    blocks = {block(ip, size) for ip in ips}
    assert (len(set(ips)), len(blocks)) == (5, number)
    assert {dst for dst, way in ways(net, eth_2).items() if way == eth_1.ip} == blocks
    assert net.ping(ips[-1], ns=far[0].namespace)
