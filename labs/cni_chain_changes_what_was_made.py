"""A CNI plugin need not make an interface: it may change what another has made, or lend one that was there.

     node                                                   ext
    +-------------------------------------------+         +---------------+
    |  cni0 10.22.0.1/24 . . . . eth0 192.168.0.1 ========= .0.9          |
    |   | port       FORWARD: policy drop         |       |               |
    |  veth<by lot>                        eth1 ============= 172.16.0.9  |
    +-- || ----------------------------------- : ---+       +---------------+
       eth0 10.22.0.2                          : lent
       lo   pod                                net1 172.16.0.5

The plugins of a chain are told what those before them made. After bridge, tuning writes a MAC and a sysctl into the
pod, and firewall lets it call through a policy that drops. loopback and host-device need no one before them: one sets
lo up, the other moves an interface of the node into the pod, and gives it back at DEL. CHECK tells whether all is still
as it was made, if a runtime asks.

Real: the plugins, run as container runtimes do. See "CHECK" in SPEC.md of containernetworking/cni, tuning.go,
firewall.go, loopback.go and host-device.go below plugins/ of containernetworking/plugins.
"""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether

from pktlab import CniError, Network, Topology

topology = Topology()
node, pod, ext = (topology.namespace(name) for name in ("node", "pod", "ext"))
pod.lo.down()
eth0, ext0 = node.veth("eth0", "eth0", netns=ext)
eth1, ext1 = node.veth("eth1", "eth1", netns=ext)
eth1.down()  # host-device sets it up itself
eth0.address("192.168.0.1/24")
ext0.address("192.168.0.9/24")
ext1.address("172.16.0.9/24")
ext.route("10.22.0.0/24", via="192.168.0.1")
node.nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }")

MAC = "02:00:00:00:00:77"
ipam = {"type": "host-local", "subnet": "10.22.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}
tuning = {"type": "tuning", "mac": MAC, "sysctl": {"net.ipv4.ip_default_ttl": "99"}}  # nobody else's TTL
firewall = {"type": "firewall", "backend": "iptables"}
static = {"type": "static", "addresses": [{"address": "172.16.0.5/24"}]}

echo, echo_reply, said = ICMP(type="echo-request"), ICMP(type="echo-reply"), UDP(dport=4000)


def chain(*plugins: object) -> dict[str, object]:
    """A network's configuration."""
    return {"cniVersion": "1.0.0", "name": "net", "plugins": list(plugins)}


def test_loopback(net: Network) -> None:
    """loopback sets lo up, which brings 127.0.0.1 with it; its DEL sets it down again."""
    plugins = net.cni(node, chain({"type": "loopback"}))
    assert net.ping("127.0.0.1", ns=pod).error == "Network is unreachable"
    assert plugins.add(pod, ifname="lo").devices == (pod.lo,)
    assert net.ping("127.0.0.1", ns=pod)
    assert net.links(pod.lo) == net.links(ext.lo)  # which has been set up by hand
    plugins.delete(pod, ifname="lo")
    assert not net.ping("127.0.0.1", ns=pod)  # the address stays, on a lo that is down


def send(net: Network) -> None:
    """Have the pod's own stack say something, so that it fills in the TTL."""
    with net.socket(pod, "udp") as client:
        client.sendto(b"hello", ("192.168.0.9", 4000))


def test_three_in_a_chain(net: Network) -> None:
    """The pod's packets have tuning's MAC and TTL, and pass by firewall's rules; in come answers and no questions."""
    cni0, veth, inside = net.cni(node, chain(bridge, tuning, firewall)).add(pod).devices
    with net.capture() as seen:
        send(net)
        assert net.ping("192.168.0.9", dev=inside)
        assert not net.ping("10.22.0.2", ns=ext)
    assert seen.path(said) == [inside, veth, cni0, eth0, ext0]
    assert seen.where(Ether(src=MAC) / IP(ttl=99) / said) == {inside, veth, cni0}
    assert seen.path(echo_reply) == [ext0, eth0, cni0, veth, inside]
    assert seen.path(IP(dst="10.22.0.2") / echo) == [ext0, eth0]


def test_bridge_alone(net: Network) -> None:
    """What the pod says has a MAC by lot and the TTL 64, and ends on the node: the policy drops it."""
    cni0, veth, inside = net.cni(node, chain(bridge)).add(pod).devices
    with net.capture() as seen:
        send(net)
    assert seen.path(said) == [inside, veth, cni0]
    assert (seen.where(IP(ttl=64) / said), seen.where(Ether(src=MAC))) == ({inside, veth, cni0}, set())


def test_check(net: Network) -> None:
    """CHECK passes, until somebody changes the sysctl or the rules; the plugin that made them tells."""
    plugins = net.cni(node, chain(bridge, tuning, firewall))
    inside = plugins.add(pod).devices[2]
    plugins.check(pod)
    net.sysctl(pod, "net.ipv4.ip_default_ttl", 64)
    with pytest.raises(CniError, match=r"tuning failed to CHECK: .*ip_default_ttl"):
        plugins.check(pod)
    net.sysctl(pod, "net.ipv4.ip_default_ttl", 99)
    assert net.ping("192.168.0.9", dev=inside)
    net.nft(node, "flush chain ip filter CNI-FORWARD")
    assert not net.ping("192.168.0.9", dev=inside)
    with pytest.raises(CniError, match="firewall failed to CHECK"):
        plugins.check(pod)


def test_host_device(net: Network) -> None:
    """The node's own interface goes into the pod, MAC and all, past bridge and rules; DEL brings it back, bare."""
    plugins = net.cni(node, chain({"type": "host-device", "device": "eth1", "ipam": static}))
    mac = net.links(eth1)[0].mac
    (net1,) = plugins.add(pod, ifname="net1").devices
    assert (net1.mac, [link.name for link in net.links(node)]) == (mac, ["lo", "eth0"])
    with net.capture() as seen:
        assert net.ping("172.16.0.9", dev=net1).ttl == 64
    assert (seen.path(echo), seen.path(echo_reply)) == ([net1, ext1], [ext1, net1])
    plugins.delete(pod, ifname="net1")
    assert [link.name for link in net.links(pod)] == ["lo"]
    assert [(link.mac, link.addresses) for link in net.links(node) if link.name == "eth1"] == [(mac, ())]
