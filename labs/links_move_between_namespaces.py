"""Links move between namespaces, but not all.

    here                                            there
    +--------------------------------------+       +---------------------------+
    |  veth0 ========= veth1 - - - - - - - - - - - - > by name, by pid         |
    |  10.1.1.1/24     10.1.1.2/24         |       |                           |
    |  vx0, mv0  - - - - - - - - - - - - - - - - - - >                         |
    |  lo, br0  stay                       |       |                           |
    +--------------------------------------+       +---------------------------+

`ip link set DEV netns X` takes X for a name in /run/netns or for the pid of a process, and asks the kernel to carry the
link to the namespace of either; pid 1 is init, which lives in the first namespace of a machine.
What kind of link it is decides whether it goes: loopbacks and bridges are bound to their namespace for good.

See ip-link(8) "netns", rtnl_link_get_net_capable() in net/core/rtnetlink.c, and netns_immutable (before Linux 6.15
NETIF_F_NETNS_LOCAL) in __dev_change_net_namespace() in net/core/dev.c.
"""

import pytest
from scapy.layers.inet import ICMP

from pktlab import Device, Network, Topology, confirms, refutes

topology = Topology()
here, there = topology.namespace("here"), topology.namespace("there")
veth0, veth1 = here.veth("veth0", "veth1")
veth0.address("10.1.1.1/24")
veth1.down()
br0 = here.bridge("br0").down()
vx0 = here.vxlan("vx0", id=42, local="10.1.1.1").down()
mv0 = here.macvlan("mv0", link=veth0).down()

echo = ICMP(type="echo-request")


def moved(net: Network, dev: Device, target: str) -> bool:
    """What `ip` answers when asked to move an interface."""
    return bool(net.run(here, ["ip", "link", "set", dev.name, "netns", target]))


@confirms("netns-index-by-name-or-pid")
@pytest.mark.parametrize("by", ["name", "pid"])
def test_by_name_and_by_pid(net: Network, by: str) -> None:
    """Either way the end arrives where the process lives, and the cable is whole once it is up and has an address."""
    resident = net.start(there, ["tail", "-f", "/proc/version"], ready="Linux")
    assert moved(net, veth1, "there" if by == "name" else str(resident.pid))
    far = net.interface(there, "veth1")
    net.up(far)
    net.add_address(far, "10.1.1.2/24")
    with net.capture() as seen:
        assert net.ping("10.1.1.2", dev=veth0)
    assert seen.path(echo) == [veth0, far]


@confirms("netns-index-by-name-or-pid")
def test_to_the_namespace_of_init(net: Network) -> None:
    """netns 1 is where init lives; that is the shell here, as the first process of a PID namespace."""
    script = "nsenter --net=/run/netns/here ip link set veth1 netns 1 && ip link show veth1"
    assert net.run(there, ["unshare", "--pid", "--fork", "sh", "-c", script])
    assert [link.name for link in net.links(there)] == ["lo", "veth1"]
    assert "veth1" not in [link.name for link in net.links(here)]


def test_no_such_target(net: Network) -> None:
    """A name that nobody bears, a pid that no process has: the link stays."""
    assert not moved(net, veth1, "nowhere")
    assert not moved(net, veth1, "4194304")  # one more than a pid can be, PID_MAX_LIMIT
    assert net.ping("10.1.1.1", ns=here)
    assert [link.name for link in net.links(veth1)] == ["veth1"]


@refutes("netns-any-virtual-device-movable")
def test_which_kinds_move(net: Network) -> None:
    """veth, VXLAN and macvlan go, and keep their ifindex; bridge and loopback stay, whoever asks."""
    for dev, moves in (here.lo, False), (br0, False), (vx0, True), (mv0, True), (veth1, True):
        assert moved(net, dev, "there") == moves
        assert (dev.name in [link.name for link in net.links(here)]) != moves
        if moves:
            assert net.interface(there, dev.name).index == dev.index
