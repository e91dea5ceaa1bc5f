"""A pod with two networks asks its routes which one to take.

     pod                             node                                     ext
    +--------------------+          +---------------------------+          +-----------------+
    |  eth0 10.22.0.2/24 ============ veth - cni0 10.22.0.1     |          |                 |
    |                    |          |               . . . eth0 =============== eth0          |
    |  net1 10.23.0.2/24 ============ veth 10.23.0.1            |          |                 |
    +--------------------+          +---------------------------+          +-----------------+
     mate: .3 in both                      192.168.0.1                      192.168.0.9

The plugin "bridge" connects the pod for all purposes, "ptp" for one: each makes a pair of interfaces and gives the pod
routes for what is behind it. Which interface a packet takes is said by these alone, for answers as well: what came in
by one may be answered by the other.

Real: the plugins, run as container runtimes do. See cmdAdd() in plugins/main/ptp/ptp.go and plugins/meta/portmap of
containernetworking/plugins, ip-route(8), "rp_filter" in Documentation/networking/ip-sysctl.rst.
"""

import json

from scapy.layers.inet import ICMP, IP, TCP

from pktlab import Interface, Namespace, Network, Topology, confirms

topology = Topology()
node, pod, mate, ext = (topology.namespace(name) for name in ("node", "pod", "mate", "ext"))
eth0, far = node.veth("eth0", "eth0", netns=ext)
eth0.address("192.168.0.1/24")
far.address("192.168.0.9/24")


def ipam(subnet: str, *routes: str) -> dict[str, object]:
    return {"type": "host-local", "subnet": subnet, "routes": [{"dst": route} for route in routes]}


bridge = {
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": ipam("10.22.0.0/24", "0.0.0.0/0"),
}
ptp = {"type": "ptp", "ipam": ipam("10.23.0.0/24")}
portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
mapped = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}

echo, syn, synack = ICMP(type="echo-request"), TCP(flags="S"), TCP(flags="SA")


def connect(net: Network, ns: Namespace) -> list[Interface]:
    """Connect a pod to both networks; the interfaces in it and on the node: eth0, its veth, net1, its veth."""
    _cni0, veth0, inside0 = net.cni(node, {"cniVersion": "1.0.0", "name": "all", "plugins": [bridge]}).add(ns).devices
    second = net.cni(node, {"cniVersion": "1.0.0", "name": "some", "plugins": [ptp, portmap]})
    veth1, inside1 = second.add(ns, ifname="net1", capabilities=mapped if ns is pod else None).devices
    return [inside0, veth0, inside1, veth1]


def peers(net: Network, ns: Namespace) -> dict[str, int]:
    """The ifindex of each veth's other end, by its own name."""
    listed = json.loads(net.run(ns, ["ip", "-j", "link", "show", "type", "veth"]).stdout)
    return {each["ifname"]: each["link_index"] for each in listed if each["ifname"] != "eth0" or ns is not node}


@confirms("cni-one-interface-each")
def test_two_plugins_two_pairs(net: Network) -> None:
    """Each run has made one interface in the pod and one on the node, and these two are each other's ends."""
    eth, veth0, net1, veth1 = connect(net, pod)
    assert [link.name for link in net.links(pod)] == ["lo", "eth0", "net1"]
    assert peers(net, pod) == {"eth0": veth0.index, "net1": veth1.index}
    assert peers(net, node) == {veth0.name: eth.index, veth1.name: net1.index}
    masters = {link.name: link.master for link in net.links(node)}
    assert (masters[veth0.name], masters[veth1.name]) == ("cni0", "")
    assert net.links(veth1)[0].addresses == ("10.23.0.1/32",)
    assert [net.ping(ip, ns=pod).ttl for ip in ("10.22.0.1", "10.23.0.1", "192.168.0.9")] == [64, 64, 63]


@confirms("multi-net-traffic-split")
def test_which_way_out(net: Network) -> None:
    """Each network by its own interface, all else by the one of the default route; ptp has no LAN: it is routed."""
    eth, veth0, net1, veth1 = connect(net, pod)
    eth_mate, veth0_mate, net1_mate, veth1_mate = connect(net, mate)
    cni0 = net.interface(node, "cni0")
    with net.capture() as seen:
        assert net.ping("10.22.0.3", ns=pod).ttl == 64
        assert net.ping("10.23.0.3", ns=pod).ttl == 63
        assert net.ping("192.168.0.9", ns=pod).ttl == 63
    assert seen.path(IP(src="10.22.0.2", dst="10.22.0.3") / echo) == [eth, veth0, veth0_mate, eth_mate]
    assert seen.path(IP(src="10.23.0.2", dst="10.23.0.3") / echo) == [net1, veth1, veth1_mate, net1_mate]
    assert seen.path(IP(dst="192.168.0.9") / echo) == [eth, veth0, cni0, eth0, far]
    net.del_route(pod, "default")
    net.add_route(pod, "default", via="10.23.0.1")
    net.add_route(ext, "10.23.0.0/24", via="192.168.0.1")
    with net.capture() as seen:
        assert net.ping("192.168.0.9", ns=pod)
    assert seen.path(echo) == [net1, veth1, eth0, far]


def test_in_by_one_out_by_the_other(net: Network) -> None:
    """A port of the node leads to net1, but the answer takes the default route; a strict node drops it there."""
    eth, veth0, net1, veth1 = connect(net, pod)
    cni0 = net.interface(node, "cni0")
    server = net.socket(pod, "tcp")
    server.bind(("10.23.0.2", 80))
    server.listen()
    for strict, back in (0, [eth, veth0, cni0, eth0, far]), (1, [eth, veth0, cni0]):
        net.sysctl(cni0, "net.ipv4.conf.{}.rp_filter", strict)
        with net.capture() as seen, net.socket(ext, "tcp", timeout=0.2) as client:
            assert (client.connect_ex(("192.168.0.1", 8080)) == 0) == (not strict)
        assert seen.paths(syn)[0] == [far, eth0, veth1, net1]
        assert seen.paths(synack)[0] == back
