"""A VM behind NAT leaves where its host does.

    vm                 host                                                world
    +-----------+      +------------------------------------------+     +------------------------+
    | eth0 .2 =========== vnet0 - virbr0 . . router . . eth0 .101 ======== eth .1                |
    +-----------+      |     192.168.122.1         . . wlan0 .101 ======== wifi .1  198.51.100.7 |
    192.168.122.0/24   +------------------------------------------+     +------------------------+
                                              192.168.3.0/24 and 192.168.4.0/24

The VM's network is no wire to anywhere: virbr0 has no NIC among its ports. The host takes in what the VM sends to its
gateway, looks the destination up in its own table, as for its own packets, and puts the address of the NIC that this
names in the source. An Ethernet card is only what most hosts' default route names.

Rebuilt: libvirt's rule for a network with <forward mode='nat'/>, as networkAddMasqueradingFirewallRules() in
src/network/bridge_driver_linux.c of libvirt writes it; the VM is a namespace, and its tap a veth, to virbr0 a port like
any other (the lab vm_behind_a_tap_is_a_peer has a tap). See inet_select_addr() in net/ipv4/devinet.c.
"""

from scapy.layers.inet import ICMP, IP

from pktlab import Network, Topology, depends

topology = Topology()
vm, host, world = topology.namespace("vm"), topology.namespace("host"), topology.namespace("world")
vm_eth0, vnet0 = vm.veth("eth0", "vnet0", netns=host)
eth0, eth = host.veth("eth0", "eth", netns=world)
wlan0, wifi = host.veth("wlan0", "wifi", netns=world)
virbr0 = host.bridge("virbr0", ports=[vnet0]).address("192.168.122.1/24")
vm_eth0.address("192.168.122.2/24")
vm.route("default", via="192.168.122.1")
eth0.address("192.168.3.101/24")
wlan0.address("192.168.4.101/24")
eth.address("192.168.3.1/24")
wifi.address("192.168.4.1/24")
world.lo.address("198.51.100.7/32")
host.route("default", via="192.168.3.1")
host.sysctl("net.ipv4.ip_forward", 1)  # libvirtd sets it: the VM's way out leads through the host.
host.nft("""table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 masquerade
    }
}""")

OUTSIDE = "198.51.100.7"
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@depends(
    "nat-vm-host-nic",
    on="the host's route: what it leads through is the NIC, an Ethernet card or any other",
)
def test_the_route_names_the_nic(net: Network) -> None:
    """The same packet leaves by eth0 with eth0's address, and by wlan0 once the default route leads there."""
    with net.capture() as seen:
        assert net.ping(OUTSIDE, ns=vm).source == OUTSIDE
    assert seen.path(echo) == [vm_eth0, vnet0, virbr0, eth0, eth]
    assert seen.path(echo_reply) == [eth, eth0, virbr0, vnet0, vm_eth0]
    assert seen.rewrites(echo)[virbr0, eth0]["ip.src"] == ("192.168.122.2", "192.168.3.101")
    net.del_route(host, "default", via="192.168.3.1")
    net.add_route(host, "default", via="192.168.4.1")
    with net.capture() as seen:
        assert net.ping(OUTSIDE, ns=vm).source == OUTSIDE
    assert seen.path(echo) == [vm_eth0, vnet0, virbr0, wlan0, wifi]
    assert seen.rewrites(echo)[virbr0, wlan0]["ip.src"] == ("192.168.122.2", "192.168.4.101")


def test_the_host_has_no_way(net: Network) -> None:
    """Without a route the host itself gets nowhere, nor does the VM: both NICs are there, and none is used."""
    net.del_route(host, "default", via="192.168.3.1")
    with net.capture() as seen:
        assert net.ping(OUTSIDE, ns=vm).icmp == (3, 0)  # network unreachable
        assert not net.ping(OUTSIDE, ns=host)
        assert net.ping("192.168.4.1", ns=vm)
    assert seen.path(IP(dst=OUTSIDE) / echo) == [vm_eth0, vnet0, virbr0]
    assert seen.path(IP(dst="192.168.4.1") / echo)[-1] == wifi


def test_without_the_rule(net: Network) -> None:
    """The packet leaves by eth0 as well, but under an address to which nobody out there has a way."""
    net.nft(host, "flush chain ip nat postrouting")
    with net.capture() as seen:
        assert not net.ping(OUTSIDE, ns=vm)
    assert seen.path(IP(src="192.168.122.2") / echo) == [vm_eth0, vnet0, virbr0, eth0, eth]
    assert seen.path(echo_reply) == []
