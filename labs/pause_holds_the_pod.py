"""A pod is a namespace, and pause holds it.

    web                                      other
    +---------------------------------+      +------------------+
    |  container      container       |      |  container       |
    |      \\            /             |      |      |           |
    |       lo 127.0.0.1              |      |  lo 127.0.0.1    |
    |                  eth0 .2        |      |     eth0 .3      |
    +------------------- || ----------+      +----- || ---------+
       node           vethweb ---- cni0 ---- vethother
                               10.244.1.1/24

Containers of a pod are processes in one network namespace: one lo, one eth0, one set of ports. Another pod has all of
these again. A namespace that has no name ends with its last process; so that containers may come and go, Kubernetes
starts a first one that does nothing but wait, and connects that.

Rebuilt: pause is unshare(1) and a tail(1) that waits, as build/pause/linux/pause.c of kubernetes/kubernetes does. See
network_namespaces(7), nsenter(1); ip_route_input_slow() in net/ipv4/route.c, which drops 127.0.0.0/8 from outside.
"""

import errno
import sys

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether

from pktlab import Interface, Namespace, Network, Topology, confirms

topology = Topology()
node, web, other = topology.namespace("node"), topology.namespace("web"), topology.namespace("other")
eth_web, veth_web = web.veth("eth0", "vethweb", netns=node)
eth_other, veth_other = other.veth("eth0", "vethother", netns=node)
cni0 = node.bridge("cni0", ports=[veth_web, veth_other]).address("10.244.1.1/24")
eth_web.address("10.244.1.2/24")
eth_other.address("10.244.1.3/24")

SERVER = "import socket; s = socket.create_server(('{}', 8080)); print('serving', flush=True)\nwhile True: s.accept()"
syn = TCP(dport=8080, flags="S")


def server(ip: str) -> list[str]:
    """The command of a container that accepts connections."""
    return [sys.executable, "-c", SERVER.format(ip)]


def client(net: Network, ns: Namespace, ip: str) -> int:
    """Connect to port 8080 as another container would; 0, or the error's number."""
    with net.socket(ns, "tcp") as made:
        return made.connect_ex((ip, 8080))


@confirms("pod-shares-netns-localhost")
def test_containers_of_one_pod(net: Network) -> None:
    """One reaches the other at localhost and its port, on lo alone; at eth0's address nobody listens."""
    net.start(web, server("127.0.0.1"), ready="serving")
    with net.capture() as seen:
        assert client(net, web, "127.0.0.1") == 0
    assert seen.path(syn) == [web.lo]
    assert client(net, node, "10.244.1.2") == errno.ECONNREFUSED


@confirms("pod-shared-ports-conflict")
def test_one_port_twice(net: Network) -> None:
    """The second container of the pod is told that the port is taken; one of another pod may have it."""
    net.start(web, server("0.0.0.0"), ready="serving")
    second = net.run(web, server("0.0.0.0"))
    assert (second.returncode, "Address already in use" in second.stderr) == (1, True)
    net.start(other, server("0.0.0.0"), ready="serving")
    assert [client(net, node, ip) for ip in ("10.244.1.2", "10.244.1.3")] == [0, 0]


@confirms("pod-localhost-private")
def test_localhost_of_another_pod(net: Network) -> None:
    """127.0.0.1 is one's own lo everywhere; a packet for it, sent to the other pod by hand, ends on its eth0."""
    net.start(web, server("127.0.0.1"), ready="serving")
    assert client(net, other, "127.0.0.1") == client(net, other, "10.244.1.2") == errno.ECONNREFUSED
    with net.capture() as seen:
        net.send(Ether(dst=eth_web.mac) / IP(dst="127.0.0.1") / TCP(dport=8080, flags="S"), dev=eth_other)
    assert seen.path(syn) == [eth_other, veth_other, veth_web, eth_web]
    assert seen.count(TCP()) == 1


@confirms("pod-own-netns")
def test_what_each_pod_has(net: Network) -> None:
    """Interfaces, addresses, routes and neighbours are a pod's own: web knows other only once it has spoken to it."""
    assert [[link.index for link in net.links(ns)] for ns in (web, other)] == [[1, eth_web.index], [1, eth_other.index]]
    assert [net.links(each)[0].addresses for each in (eth_web, eth_other)] == [("10.244.1.2/24",), ("10.244.1.3/24",)]
    net.add_route(web, "10.9.0.0/16", via="10.244.1.1")
    assert ["10.9.0.0/16" in [route.dst for route in net.routes(ns)] for ns in (web, other)] == [True, False]
    assert net.ping("10.244.1.1", ns=web)
    assert [[entry.address for entry in net.neighbours(ns)] for ns in (web, other)] == [["10.244.1.1"], []]


def pod_of(net: Network, pid: int) -> Interface:
    """Connect the namespace of a process to cni0, as a CNI plugin would; return the node's end."""
    net.run(node, ["ip", "link", "add", "vethpod", "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    veth = net.interface(node, "vethpod")
    net.attach(veth, cni0)
    net.up(veth)
    for words in "link set eth0 up", "addr add 10.244.1.9/24 dev eth0":
        assert net.run(node, ["nsenter", "-t", str(pid), "-n", "ip", *words.split()])
    return veth


def test_pause_holds_it(net: Network) -> None:
    """A container may end and another come, to the same address; when pause ends, nothing is left of the pod."""
    pause = net.start(node, ["unshare", "--net", "tail", "-f", "/proc/version"], ready="Linux")
    veth = pod_of(net, pause.pid)
    join = ["nsenter", "-t", str(pause.pid), "-n"]
    for _ in range(2):
        container = net.start(node, [*join, *server("10.244.1.9")], ready="serving")
        assert client(net, web, "10.244.1.9") == 0
        container.stop()
        assert client(net, web, "10.244.1.9") == errno.ECONNREFUSED
    with net.capture() as seen:
        assert net.ping("10.244.1.9", ns=web)
    assert seen.path(ICMP(type="echo-request")) == [eth_web, veth_web, veth]
    pause.stop()
    net.wait(lambda: veth.name not in [link.name for link in net.links(node)], timeout=10)
    assert not net.ping("10.244.1.9", ns=web)
