"""A service is found by a load balancer.

    ext .0.4                  lb .0.3                  n1 .0.1
    +------+                +---------+              +--------------+
    | eth0 ===== switch ====== eth0   |         +=====  30080 ----+ |
    +------+        ||      | haproxy |         |    +------------|-+
                    ||      +---------+         |      n2 .0.2    |             web .2.2
                    ||                          |    +------------|-+          +------+
                    ++==========================+=====  30080 --- veth ========= eth0 | 8080
                                                     +--------------+          +------+

Who knows a NodePort has to know a node as well, and that it is up. A load balancer knows the nodes in his place: it
ends the client's connection and opens another to one of them in turn, or to the next one if that is down. The client
has one address to know, and the pod hears of neither.

Real: haproxy. Rebuilt: kube-proxy's rules, as syncProxyRules() in pkg/proxy/iptables/proxier.go of
kubernetes/kubernetes writes them, and flannel's routes (host-gw). Who gives services of type LoadBalancer an address is
the cloud's part, and not here. See "balance" and "option redispatch" in haproxy's configuration manual.
"""

import select
import socket
from pathlib import Path

from scapy.layers.inet import IP, TCP

from pktlab import Cluster, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "host-gw")
n1, n2 = cluster.node("n1"), cluster.node("n2")
web = n2.pod("web")
lb, front = cluster.host("lb")
ext, nic = cluster.host("ext")
cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web], node_port=30080)

HAPROXY = ["haproxy", "-db", "-f", "/run/haproxy.cfg"]
LISTENS = Path("/run/haproxy.sock").exists  # It makes this socket after the others.
CONFIG = f"""global
    stats socket /run/haproxy.sock
defaults
    mode tcp
    option redispatch 1
    retries 2
    timeout connect 500ms
    timeout client 5s
    timeout server 5s
listen web
    bind {front.ip}:80
    balance roundrobin
    server n1 {n1.ip}:30080
    server n2 {n2.ip}:30080
"""


def said(net: Network, server: socket.socket, ip: str, port: int = 80) -> tuple[str, str]:
    """Connect from ext and hear a word from web; who the client was to web, and the word; or what failed."""
    with net.socket(ext, "tcp", timeout=1) as caller:
        try:
            caller.connect((ip, port))
            assert select.select([server], [], [], 2)[0]
            connection, (client, _port) = server.accept()
            connection.send(b"welcome")
            connection.close()
            return client, caller.recv(99).decode()
        except OSError as error:
            return "", str(error.strerror or error)


def serving(net: Network) -> socket.socket:
    """A server on port 8080 of web; and what haproxy is to read."""
    Path("/run/haproxy.cfg").write_text(CONFIG)
    server = net.socket(web.ns, "tcp")
    server.bind((web.ip, 8080))
    server.listen()
    return server


@confirms("svc-loadbalancer")
def test_one_address_to_know(net: Network) -> None:
    """ext speaks to lb alone; lb goes to n1 and n2 in turn, and both lead to web."""
    server = serving(net)
    net.start(lb, HAPROXY, ready=LISTENS)
    with net.capture() as seen:
        assert [said(net, server, front.ip) for _ in range(2)] == [(n1.ip, "welcome"), (n2.gateway, "welcome")]
    assert seen.count(IP(src=nic.ip, dst=front.ip) / TCP(flags="S"), on=nic) == 2
    assert seen.count(IP(src=nic.ip) / TCP(), on=n1.eth0) == seen.count(IP(src=nic.ip) / TCP(), on=n2.eth0) == 0
    for node in (n1, n2):
        assert seen.count(IP(src=front.ip, dst=node.ip) / TCP(flags="S", dport=30080), on=front) == 1


def test_a_node_is_down(net: Network) -> None:
    """Whoever has known n1 is lost; lb tries it, and goes to n2 instead."""
    server = serving(net)
    net.start(lb, HAPROXY, ready=LISTENS)
    net.down(n1.eth0)
    assert said(net, server, n1.ip, 30080) == ("", "No route to host")
    with net.capture() as seen:
        assert [said(net, server, front.ip) for _ in range(2)] == [(n2.gateway, "welcome")] * 2
    assert seen.count(IP(src=front.ip, dst=n2.ip) / TCP(flags="S"), on=front) == 2


def test_without_the_load_balancer(net: Network) -> None:
    """The address is that of a machine where nobody listens any more; the nodes answer as ever."""
    server = serving(net)
    program = net.start(lb, HAPROXY, ready=LISTENS)
    assert said(net, server, front.ip) == (n1.ip, "welcome")
    program.stop()
    assert said(net, server, front.ip) == ("", "Connection refused")
    assert said(net, server, n1.ip, 30080) == (n1.ip, "welcome")
