"""Changing a namespace takes rights.

    the lab's user namespace                     a user namespace of one's own
    +-------------------------------------+     +-----------------------------+
    |  host                  (all rights) |     |  (nameless)    (all rights) |
    |  br0  10.1.1.1/24                   |     |  lo                         |
    +-------------------------------------+     +-----------------------------+

It is not root that counts, but two capabilities, and only towards the user namespace that owns the network namespace:
CAP_SYS_ADMIN to make or enter one, CAP_NET_ADMIN to change what is in it. An ordinary user of the machine has neither.
He may look at the namespace in which he is, and use it, but change nothing. In a user namespace that he makes himself
he has both, over the network namespaces that are made there and no others. This is how pktlab runs without root.

See network_namespaces(7), user_namespaces(7), setns(2), rtnetlink_rcv_msg() in net/core/rtnetlink.c.
"""

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
host = topology.namespace("host")
br0 = host.bridge("br0").address("10.1.1.1/24")

ORDINARY = ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"]
CHANGES = ["link set br0 down", "address add 10.7.7.7/24 dev br0", "route add 10.8.8.0/24 via 10.1.1.9"]


@confirms("netns-requires-root")
def test_making_and_entering(net: Network) -> None:
    """Neither is permitted without the rights; with them there is a new namespace, and in host one sees br0."""
    for words in "ip netns add mine", "nsenter --net=/run/netns/host ip address":
        refused = net.run(host, [*ORDINARY, *words.split()])
        assert (bool(refused), "Operation not permitted" in refused.stderr) == (False, True)
        granted = net.run(host, words.split())
        assert granted
    assert "inet 10.1.1.1/24" in granted.stdout


@refutes("netns-nonroot-configures-own")
def test_looking_and_changing(net: Network) -> None:
    """Interfaces, addresses and routes are shown; to change any of them is not permitted, though one is inside."""
    for words, shown in ("link", "br0:"), ("address", "10.1.1.1/24"), ("route", "10.1.1.0/24 dev br0"):
        assert shown in net.run(host, [*ORDINARY, "ip", words]).stdout
    for words in CHANGES:
        refused = net.run(host, [*ORDINARY, "ip", *words.split()])
        assert (bool(refused), "Operation not permitted" in refused.stderr) == (False, True)
    assert [(link.up, link.addresses) for link in net.links(br0)] == [(True, ("10.1.1.1/24",))]


def test_with_the_rights(net: Network) -> None:
    """The same changes, asked for by one who has them, are made."""
    for words in reversed(CHANGES):
        assert net.run(host, ["ip", *words.split()])
    assert [(link.up, link.addresses) for link in net.links(br0)] == [(False, ("10.1.1.1/24", "10.7.7.7/24"))]


def test_in_a_user_namespace_of_ones_own(net: Network) -> None:
    """There one makes what one likes, and the lo of a new namespace is set up; where one came from stays closed."""
    own = [*ORDINARY, "unshare", "--user", "--map-root-user", "--net"]
    script = "ip link set lo up && ip link add v0 type veth peer name v1 && ip -brief link"
    made = net.run(host, [*own, "sh", "-c", script]).stdout
    assert [line.split("@")[0].split()[0] for line in made.splitlines()] == ["lo", "v1", "v0"]
    refused = net.run(host, [*own, "nsenter", "--net=/run/netns/host", "ip", "link", "set", "br0", "down"])
    assert "Operation not permitted" in refused.stderr
    assert net.links(br0)[0].up
