"""Calico's BGP needs a reflector or a mesh.

     a               n1                     n3                     n2               c
    +------+   +------------+         +------------+         +------------+   +------+
    | eth0 === | cali  BIRD ---------- BIRD        ----------- BIRD  cali | === eth0 |
    +------+   | .1.0/26    |  iBGP   | .3.0/26    |  iBGP   | .2.0/26    |   +------+
               +--- eth0 ---+         +--- eth0 ---+         +--- eth0 ---+
                     +----------------- switch -----------------+

A node's BIRD announces the node's block to those with whom it has a session; whoever hears of it writes a route to its
own kernel, via the node that owns the block. Within one AS what was heard from one is not told to another (RFC 4271
section 9.2), so that nothing goes in circles: n1 and n2 hear of one another if they have a session themselves, which
takes n(n-1)/2 of them, or if n3 is a reflector, which may tell, and adds who was first and who passed it on. What is
passed on is news only: packets take the straight way.

Real: BIRD 2. Rebuilt: its configuration (labs/calico_bird.py says after what), and each pod's veth and routes. See RFC
4456 section 8, "rr client" in the manual of BIRD, bgp_preexport() in its proto/bgp/attrs.c.
"""

from calico_bird import LATE, Speaker, announced, blocks, start, wait
from scapy.layers.inet import ICMP, IP, TCP

from pktlab import Cluster, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "calico-bird")
n1, n2, n3 = (cluster.node(name) for name in ("n1", "n2", "n3"))
a, c = n1.pod("a"), n2.pod("c")

s1, s2, s3 = speakers = [Speaker(node.ns, node.eth0, str(node.subnet)) for node in (n1, n2, n3)]
HUB, MESH = [(s3, s1), (s3, s2)], [(s1, s2), (s3, s1), (s3, s2)]
WAY = [a.eth0, a.veth, n1.eth0, n1.port, n2.port, n2.eth0, c.veth, c.eth0]
echo = ICMP(type="echo-request")


def all_but(own: Speaker) -> dict[str, str]:
    """What a speaker knows when it knows all: its own block, and each other one via its owner."""
    return {each.block: "" if each is own else each.ip for each in speakers}


@confirms("calico-bgp-rr")
def test_a_reflector(net: Network) -> None:
    """n3 passes n1's UPDATE on to n2, with n1 as the next hop still; c is reached, and not by way of n3."""
    with net.capture() as seen:
        birds = start(net, HUB, reflector=s3)
        wait(net, birds, lambda: all(blocks(net, each) == all_but(each) for each in speakers))
    first, passed_on = announced(seen, s1, s3)[s1.block], announced(seen, s3, s2)[s1.block]
    assert first == {"origin": 0, "segments": [], "next_hop": s1.ip, "local_pref": 100}
    assert passed_on == first | {"originator_id": s1.ip, "cluster_list": [int.from_bytes(map(int, s3.ip.split(".")))]}
    assert list(announced(seen, s1, s3)) == [s1.block]  # and not a's /32, which is n1's own affair
    assert seen.path(IP(src=s1.ip) / TCP(dport=179, flags="S")) == [n1.eth0, n1.port, n3.port, n3.eth0]
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).ttl == 62
    assert seen.path(echo) == WAY
    birds[s3].stop()
    wait(net, (s1, s2), lambda: all(blocks(net, each) == {each.block: ""} for each in (s1, s2)))
    assert not net.ping(c.ip, ns=a.ns)


@confirms("calico-bgp-without-rr-needs-mesh")
def test_an_ordinary_hub(net: Network) -> None:
    """n3 knows both blocks, tells n2 of its own ones, and even of a later one, but never of n1's."""
    with net.capture() as seen:
        birds = start(net, HUB)
        wait(net, birds, lambda: blocks(net, s3) == all_but(s3))
        s3.enable(net, "late")  # A session is in order: what n3 had to tell before has come when this has.
        wait(net, birds, lambda: all(LATE in blocks(net, each) for each in (s1, s2)))
    assert (set(announced(seen, s1, s3)), set(announced(seen, s3, s2))) == ({s1.block}, {s3.block, LATE})
    assert blocks(net, s2) == {s2.block: "", s3.block: s3.ip, LATE: s3.ip}
    assert not net.ping(c.ip, ns=a.ns)
    assert net.ping(n3.ip, ns=n1.ns)


@confirms("calico-bgp-without-rr-needs-mesh")
def test_a_mesh(net: Network) -> None:
    """With a session for each pair all know all, at first hand; when n3 ends, only its own block goes."""
    with net.capture() as seen:
        birds = start(net, MESH)
        wait(net, birds, lambda: all(blocks(net, each) == all_but(each) for each in speakers))
    for sender in speakers:
        for receiver in speakers:
            if receiver is not sender:
                told = announced(seen, sender, receiver)
                assert {block: each.get("originator_id") for block, each in told.items()} == {sender.block: None}
    birds[s3].stop()
    wait(net, (s1, s2), lambda: all(s3.block not in blocks(net, each) for each in (s1, s2)))
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns)
    assert seen.path(echo) == WAY


def test_without_any(net: Network) -> None:
    """Nobody told n1 of c: what a sends there leaves n1 by its default route, if at all."""
    assert blocks(net, s1) == {}
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).icmp == (3, 1)
    assert seen.path(echo) == WAY[:2]
