"""flannel leases a subnet to each node, and no address to any pod.

    master 192.168.0.10             n1 .1                                n2 .2
    +-------------------+    +------------------------+       +------------------------+
    | etcd: subnets/... |    | flanneld, subnet.env   |       | flanneld, subnet.env   |
    |                   |    | flannel.1  cni0 - veth |       | flannel.1  cni0 - veth |
    +------ eth0 -------+    +-- eth0 ----------- || -+       +-- eth0 ----------- || -+
          ===+======== switch ====+============ a eth0 ============+============ b eth0

A flanneld asks etcd for a subnet that no node has, and watches the others' leases: each becomes a route, a neighbour
and an FDB entry. subnet.env says what its own node has got; from that host-local, on the node, gives pods addresses.
Real: etcd, and the plugins bridge and host-local. Rebuilt: flanneld (labs/flanneld.py names the sources) and the plugin
flannel (here `plugins`, there flannel_linux.go of flannel-io/cni-plugin). See Documentation/reservations.md of flannel.
"""

import base64
import http.client
import json
import sys
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from scapy.layers.inet import ICMP, UDP
from scapy.layers.vxlan import VXLAN

from pktlab import Namespace, Network, Topology, depends, refutes

topology = Topology()
lan, master, n1, n2, a, b = map(topology.namespace, ("lan", "master", "n1", "n2", "a", "b"))
eth_m, port_m = master.veth("eth0", "master", netns=lan)
eth_1, port_1 = n1.veth("eth0", "n1", netns=lan)
eth_2, port_2 = n2.veth("eth0", "n2", netns=lan)
switch = lan.bridge("switch", ports=[port_m, port_1, port_2])
for nic, number in (eth_m, 10), (eth_1, 1), (eth_2, 2):
    nic.address(f"192.168.0.{number}/24")

ETCD = ["etcd", "--data-dir=/run/etcd", "--listen-client-urls=http://0.0.0.0:2379", "--heartbeat-interval=20"]
ETCD += ["--advertise-client-urls=http://192.168.0.10:2379", "--election-timeout=100"]
KEY = "/coreos.com/network/"


def etcd(net: Network, what: str, **words: str) -> Any:
    """Ask etcd where it runs; its JSON has keys and values in base64."""
    with net.socket(master, "tcp") as sock:
        sock.connect(("127.0.0.1", 2379))
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = sock
        coded = {word: base64.b64encode(text.encode()).decode() for word, text in words.items()}
        connection.request("POST", f"/v3/kv/{what}", json.dumps(coded))
        return json.load(connection.getresponse())


def start(net: Network) -> list[Any]:
    """Start etcd with flannel's configuration and a reservation in it, and a flanneld on each node."""
    programs = [net.start(master, ETCD, ready="ready to serve client requests")]
    etcd(net, "put", key=f"{KEY}config", value='{"Network": "10.244.0.0/16", "SubnetLen": 24}')
    etcd(net, "put", key=f"{KEY}subnets/10.244.1.0-24", value='{"PublicIP": "192.168.0.1"}')
    for nic in eth_1, eth_2:
        flanneld = [sys.executable, str(Path(__file__).with_name("flanneld.py")), nic.ip, eth_m.ip]
        programs.append(net.start(nic.namespace, [*flanneld, f"/run/{nic.namespace}.env"], ready="flanneld"))
    for program in programs[1:]:
        program.wait_ready("with 10")
    return programs


def env(node: Namespace) -> dict[str, str]:
    """What a node's subnet.env says."""
    return dict(line.removeprefix("FLANNEL_").split("=") for line in Path(f"/run/{node}.env").read_text().split())


def plugins(net: Network, node: Namespace) -> Any:
    """The node's CNI plugins, told what subnet.env says and nothing else."""
    subnet = str(IPv4Interface(env(node)["SUBNET"]).network)
    ipam = {"type": "host-local", "subnet": subnet, "routes": [{"dst": env(node)["NETWORK"]}]}
    bridge = {"type": "bridge", "isGateway": True, "mtu": int(env(node)["MTU"]), "ipam": ipam}
    return net.cni(node, {"cniVersion": "1.0.0", "name": "cbr0"} | bridge)


@refutes("flannel-is-two-clusters")
@depends("flannel-subnet-env", on="who hands out: Kubernetes gives its nodes podCIDRs in order, flannel in etcd by lot")
def test_a_subnet_for_each_node(net: Network) -> None:
    """n1 gets what is reserved for it, n2 one of the first hundred that are free; both are parts of one network."""
    start(net)
    assert env(n1) == {"NETWORK": "10.244.0.0/16", "SUBNET": "10.244.1.1/24", "MTU": "1450", "IPMASQ": "true"}
    assert env(n2).items() - env(n1).items() == {("SUBNET", other := env(n2)["SUBNET"])}
    assert other in [f"10.244.{number}.1/24" for number in range(2, 102)]
    pods = [plugins(net, node).add(pod) for node, pod in ((n1, a), (n2, b))]
    (cni_1, veth_a, eth_a), (cni_2, veth_b, eth_b) = (pod.devices for pod in pods)
    tunnels = [net.interface(node, "flannel.1") for node in (n1, n2)]
    with net.capture() as seen:
        assert net.ping(pods[1].ip, ns=a).ttl == 62
    way = [eth_a, veth_a, cni_1, tunnels[0], eth_1, port_1, port_2, eth_2, tunnels[1], cni_2, veth_b, eth_b]
    assert seen.path(ICMP(type="echo-request")) == way
    assert seen.paths(UDP(dport=8472) / VXLAN(vni=1)) == [way[4:8], way[7:3:-1]]


@refutes("flannel-assigns-pod-ip", "flannel-etcd-route")
def test_a_pod_comes(net: Network) -> None:
    """etcd has not changed since; and when it and every flanneld have ended, pods come up and reach one another."""
    programs = start(net)
    before = etcd(net, "range", key="/", range_end="0")
    there = plugins(net, n2).add(b)
    assert etcd(net, "range", key="/", range_end="0") == before
    for program in programs:
        program.stop()
    here = plugins(net, n1)
    assert (here.add(a).ip, here.leases) == ("10.244.1.2", {"10.244.1.2": "a"})
    assert net.ping(there.ip, ns=a)


def test_a_lease_ends(net: Network) -> None:
    """The lease was all that n1 knew of n2: it takes back the route, and finds no way to b, which is where it was."""
    programs = start(net)
    there = plugins(net, n2).add(b)
    plugins(net, n1).add(a)
    assert net.ping(there.ip, ns=a)
    etcd(net, "deleterange", key=f"{KEY}subnets/{IPv4Interface(env(n2)['SUBNET']).network}".replace("/24", "-24"))
    net.wait(lambda: "without" in programs[1].output, timeout=10)
    assert (net.ping(there.ip, ns=n2).ok, net.ping(there.ip, ns=a).icmp) == (True, (3, 0))  # network unreachable
