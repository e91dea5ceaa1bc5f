"""A CNI plugin takes five steps, and four of them are enough.

    host (by hand)                               node (by the plugin "bridge")
    +-----------------------------+              +-----------------------------+
    |   cni0 10.22.0.1/24         |              |   cni0 10.22.0.1/24         |
    |    | port        | port     |              |    | port                   |
    |   va            vb          |              |   veth<by lot>              |
    +--- || ---------- || --------+              +--- || ----------------------+
        eth0          eth0                           eth0
        a .0.2        b .0.3                         pod .0.2

Told to connect a pod, a plugin (1) puts one end of a veth with an address into it, (2) leaves the other end on the
host, (3) gives the pod a route, (4) the host one, (5) and makes the host's end a port of a bridge. Here they are done
by hand on host; on node by Debian's bridge and host-local. Step 4 has been done by the bridge's own address.

Real: the plugins, run as container runtimes do. See SPEC.md of containernetworking/cni, cmdAdd() and cmdDel() in
plugins/main/bridge/bridge.go of containernetworking/plugins, fib_add_ifaddr() in net/ipv4/fib_frontend.c.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP

from pktlab import Interface, Network, Topology, confirms, refutes

topology = Topology()
host, a, b, node, pod = (topology.namespace(name) for name in ("host", "a", "b", "node", "pod"))
eth_a, va = a.veth("eth0", "va", netns=host)  # steps 1 and 2
eth_b, vb = b.veth("eth0", "vb", netns=host)
cni0 = host.bridge("cni0", ports=[va, vb]).address("10.22.0.1/24")  # step 5
eth_a.address("10.22.0.2/24")
eth_b.address("10.22.0.3/24")
a.route("default", via="10.22.0.1")  # step 3
host.route("10.22.0.2/32", dev=cni0)  # step 4
ipam = {"type": "host-local", "subnet": "10.22.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
conf = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


def shape(net: Network, device: Interface) -> tuple[object, ...]:
    """What `ip link`, `ip addr` and `bridge link` say of an interface, less its name and MAC."""
    link = net.links(device)[0]
    return link.kind, link.state, link.mtu, link.addresses, link.port


@confirms("cni-five-steps-suffice", "cni-veth-host-end-needs-no-ip")
def test_five_steps_by_hand(net: Network) -> None:
    """The pod reaches the host and the next pod, and both reach it; no address is on the host's end of the veth."""
    assert net.links(va)[0].addresses == ()
    with net.capture() as seen:
        assert net.ping("10.22.0.1", dev=eth_a)
        assert net.ping("10.22.0.3", dev=eth_a).ttl == 64
        assert net.ping("10.22.0.2", ns=host)
    assert seen.path(IP(dst="10.22.0.1") / echo) == [eth_a, va, cni0]
    assert seen.path(IP(dst="10.22.0.3") / echo) == [eth_a, va, vb, eth_b]
    assert seen.path(IP(dst="10.22.0.2") / echo) == [cni0, va, eth_a]


@refutes("cni-host-route-needed")
def test_without_step_four(net: Network) -> None:
    """Nothing changes: the bridge's address has brought a route to all pods with it."""
    net.del_route(host, "10.22.0.2/32")
    assert [(route.dst, route.dev, route.scope) for route in net.routes(host)] == [("10.22.0.0/24", "cni0", "link")]
    with net.capture() as seen:
        assert net.ping("10.22.0.1", dev=eth_a)
        assert net.ping("10.22.0.2", ns=host)
    assert seen.path(IP(dst="10.22.0.2") / echo) == [cni0, va, eth_a]


def test_without_another_step(net: Network) -> None:
    """Without the route the pod has no way out of its subnet; without the port, the host's end is where all ends."""
    assert net.ping("10.22.9.9", ns=a).error == ""  # it is sent, and the host has no way on
    net.del_route(a, "default")
    assert net.ping("10.22.9.9", ns=a).error == "Network is unreachable"
    net.flush_neighbours(a)
    net.detach(va)
    with net.capture() as seen:
        assert not net.ping("10.22.0.1", dev=eth_a)
    assert seen.where(ARP(op="who-has", pdst="10.22.0.1")) == {eth_a, va}
    net.del_address(eth_a, "10.22.0.2/24")
    assert net.routes(a) == []


def test_the_plugin_does_the_same(net: Network) -> None:
    """Link by link, route by route and hop by hop it is what was done by hand, less step 4."""
    bridge0, veth, eth0 = net.cni(node, conf).add(pod).devices
    for made, ours in (bridge0, cni0), (veth, va), (eth0, eth_a):
        assert shape(net, made) == shape(net, ours)
    inside, outside = (
        [[(r.dst, r.via, r.dev) for r in net.routes(ns)] for ns in pair] for pair in ((pod, a), (node, host))
    )
    assert inside[0] == inside[1] == [("default", "10.22.0.1", "eth0"), ("10.22.0.0/24", "", "eth0")]
    assert outside == [[("10.22.0.0/24", "", "cni0")], [("10.22.0.0/24", "", "cni0"), ("10.22.0.2/32", "", "cni0")]]
    for device, way in (eth0, [eth0, veth, bridge0]), (eth_a, [eth_a, va, cni0]):
        with net.capture() as seen:
            assert net.ping("10.22.0.1", dev=device)
        assert (seen.path(echo), seen.path(echo_reply)) == (way, way[::-1])
        assert seen.path(ARP(op="is-at", psrc="10.22.0.1")) == way[::-1]
        assert [len(frame.data) for frame in seen.frames(echo)] == [98, 98, 98]
