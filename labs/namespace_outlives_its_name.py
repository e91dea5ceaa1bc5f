"""A namespace outlives its name.

    host                              held                            third (made in the act)
    +-------------------------+      +---------------------+         +--------------------+
    |  veth0 =========================== eth0              |         |                    |
    |  10.1.1.1/24            |      |  10.1.1.2/24        |         |                    |
    |  out ============================================================ in                |
    |  10.3.3.1/24            |      |                     |         |  10.3.3.2/24       |
    +-------------------------+      +---------------------+         +--------------------+

The name of a namespace is a file in /run/netns on which the namespace is mounted; `ip netns list` reads that folder.
To delete the name is to undo the mount, which is one reference among others: a process that lives inside is one, an
open descriptor is one. With the last the namespace ends, and its veth ends with it, and their peers wherever they are.

See ip-netns(8), namespaces(7) "Namespace lifetime", network_namespaces(7), cleanup_net() in net/core/net_namespace.c.
"""

from scapy.layers.inet import ICMP

from pktlab import Interface, Network, Topology, confirms

topology = Topology()
host, held = topology.namespace("host"), topology.namespace("held")
veth0, eth0 = host.veth("veth0", "eth0", netns=held)
veth0.address("10.1.1.1/24")
eth0.address("10.1.1.2/24")

echo = ICMP(type="echo-request")


def third_namespace(net: Network) -> Interface:
    """Make namespace third with a cable to host, as in the drawing; return the end that is in host."""
    for words in "netns add third", "link add out type veth peer name in netns third":
        assert net.run(host, ["ip", *words.split()])
    # Without addrgenmode none, IPv6 talks of itself.
    for words in "link set in addrgenmode none", "address add 10.3.3.2/24 dev in", "link set in up":
        assert net.run(host, ["nsenter", "--net=/run/netns/third", "ip", *words.split()])
    out = net.interface(host, "out")
    net.up(out)
    net.add_address(out, "10.3.3.1/24")
    return out


def await_cleanup(net: Network) -> None:
    """End a namespace and wait until the kernel has taken it down, and so whatever ended before it."""
    for words in "netns add brief", "link add sign type veth peer name in netns brief", "netns delete brief":
        assert net.run(host, ["ip", *words.split()])
    net.wait(lambda: "sign" not in links(net), timeout=10)


def names(net: Network) -> list[str]:
    """What `ip netns list` prints, sorted, without the numbers that it may add."""
    return sorted(line.split()[0] for line in net.run(host, ["ip", "netns", "list"]).stdout.splitlines())


def links(net: Network) -> list[str]:
    """The names of the interfaces of host."""
    return [link.name for link in net.links(host)]


@confirms("netns-initially-no-names")
def test_where_names_are_kept(net: Network) -> None:
    """The list shows what is mounted in /run/netns: nothing where that is empty, whatever namespaces there are."""
    assert names(net) == ["held", "host"]
    empty = "mount -t tmpfs none /run/netns && ip netns list && ip link show veth0"
    shown = net.run(host, ["unshare", "--mount", "sh", "-c", empty]).stdout
    assert shown.splitlines()[0].split()[1].startswith("veth0@if")  # No line before that one.
    assert net.ping("10.1.1.2", ns=host)


@confirms("netns-survives-without-process", "netns-delete-empty-destroys")
def test_nobody_inside(net: Network) -> None:
    """The mount alone holds it, and it answers; with the name it ends, its veth end too, and the peer in host."""
    out = third_namespace(net)
    await_cleanup(net)
    with net.capture() as seen:
        assert net.ping("10.3.3.2", ns=host)
    assert seen.path(echo) == [out]  # third was not declared, so nobody captures there.
    assert net.run(host, ["ip", "netns", "pids", "third"]).stdout == ""
    assert net.run(host, ["ip", "netns", "delete", "third"])
    assert names(net) == ["held", "host"]
    net.wait(lambda: "out" not in links(net), timeout=10)
    assert not net.ping("10.3.3.2", ns=host)


@confirms("netns-delete-alive-while-process")
def test_a_process_inside(net: Network) -> None:
    """Name and mount are gone, but the address answers as before, until the process ends."""
    out = third_namespace(net)
    words = ["nsenter", "--net=/run/netns/third", "tail", "-f", "/proc/version"]
    resident = net.start(host, words, ready="Linux")
    assert net.run(host, ["ip", "netns", "delete", "third"])
    assert names(net) == ["held", "host"]
    assert not net.run(host, ["test", "-e", "/run/netns/third"])
    await_cleanup(net)
    with net.capture() as seen:
        assert net.ping("10.3.3.2", ns=host)
    assert seen.path(echo) == [out]
    resident.stop()
    net.wait(lambda: "out" not in links(net), timeout=10)


def test_a_descriptor_holds_it(net: Network) -> None:
    """Nor is a process needed inside: pktlab holds this one by an open file, so that without a name it answers."""
    assert net.run(host, ["ip", "netns", "delete", "held"])
    assert names(net) == ["host"]
    await_cleanup(net)
    with net.capture() as seen:
        assert net.ping("10.1.1.2", ns=host)
    assert seen.path(echo) == [veth0, eth0]
