"""A VM behind a tap is a peer.

    vm (this lab's Python)      host                           lan
    +--------------------+      +----------------------+       +------------------+
    |  192.168.3.50   fd =========== tap0 -- br0 -- eth0 ========== wan           |
    |  02:00:00:00:00:aa |      |  (no address at all) |       |   192.168.3.1    |
    +--------------------+      +----------------------+       +------------------+

A tap device has a program at its other end in place of a wire. Here it is a virtual machine of three functions, which
crafts its frames with Scapy. Behind a port of br0 it is a host of the network that eth0 leads to, like any other: its
own MAC is seen there, its TTL is what it wrote, and the host's IP layer has no part in it.

See Documentation/networking/tuntap.rst, br_handle_frame_finish() in net/bridge/br_input.c.
"""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, PktlabError, Topology, confirms, depends, refutes

topology = Topology()
host, lan = topology.namespace("host"), topology.namespace("lan")
eth0, wan = host.veth("eth0", "wan", netns=lan)
tap0 = host.tap("tap0")
br0 = host.bridge("br0", ports=[eth0, tap0])
wan.address("192.168.3.1/24")

VM_IP, VM_MAC, BROADCAST = "192.168.3.50", "02:00:00:00:00:aa", "ff:ff:ff:ff:ff:ff"
ping = IP(src=VM_IP, dst="192.168.3.1", ttl=77) / ICMP(type="echo-request", id=7)
answer = IP(src="192.168.3.1", dst=VM_IP) / ICMP(type="echo-reply")


def ask(net: Network) -> str:
    """The VM asks for the gateway's MAC, and reads the answer."""
    question = ARP(op="who-has", hwsrc=VM_MAC, psrc=VM_IP, pdst="192.168.3.1")
    net.tap(tap0).write(bytes(Ether(src=VM_MAC, dst=BROADCAST) / question))
    return str(Ether(net.tap(tap0).read())[ARP].hwsrc)


def echo(net: Network, mac: str) -> None:
    """The VM sends an echo request to a MAC."""
    net.tap(tap0).write(bytes(Ether(src=VM_MAC, dst=mac) / ping))


@confirms("vm-tap-bridge-path")
def test_vm_pings_the_gateway(net: Network) -> None:
    """The gateway knows the VM by its own MAC, gets its TTL of 77, and the answer comes back as it was sent."""
    with net.capture() as seen:
        echo(net, ask(net))
        reply = Ether(net.tap(tap0).read())
    assert seen.path(Ether(src=VM_MAC, dst=wan.mac) / ping) == [tap0, eth0, wan]
    assert seen.path(Ether(src=wan.mac, dst=VM_MAC) / answer) == [wan, eth0, tap0]
    assert seen.rewrites(ping) == seen.rewrites(answer) == {}
    assert (reply.src, reply.dst, reply[IP].ttl) == (wan.mac, VM_MAC, 64)
    assert [(entry.address, entry.mac) for entry in net.neighbours(wan)] == [(VM_IP, VM_MAC)]


@depends("bridge-l2-ignores-stack-netfilter", on="bridge-nf-call-iptables: 1 has iptables look at bridged packets too")
def test_host_that_forbids_forwarding(net: Network) -> None:
    """The host does not route and drops all that it would forward; the VM does not notice until the bridge is asked."""
    net.nft(host, "table ip filter { chain forward { type filter hook forward priority filter; policy drop; }; }")
    gateway = ask(net)
    for call, way in ((0, [tap0, eth0, wan]), (1, [tap0])):
        # At 1 bridged packets are shown to the ruleset for routed ones; so the kernel has it, but no lab.
        net.sysctl(host, "net.bridge.bridge-nf-call-iptables", call)
        with net.capture() as seen:
            echo(net, gateway)
        assert seen.path(ping) == way


def test_tap_unplugged(net: Network) -> None:
    """Out of the bridge, what the VM sends ends at tap0."""
    gateway = ask(net)
    net.detach(tap0)
    with net.capture() as seen:
        echo(net, gateway)
    assert seen.path(ping) == [tap0]


@refutes("bridge-any-device-enslavable")
def test_tun_in_its_place(net: Network) -> None:
    """A tun carries IP packets without an Ethernet header: it can be no port, as tap0 is."""
    assert net.links(tap0)[0].port == "forwarding"
    assert net.run(host, ["ip", "tuntap", "add", "tun0", "mode", "tun"])
    with pytest.raises(PktlabError, match="Invalid argument"):
        net.attach(net.interface(host, "tun0"), br0)
