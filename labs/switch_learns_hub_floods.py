"""A switch learns where to send, a hub floods.

                  +--- a ---+         +--- b ---+         +--- c ---+
                  |eth0 eth1|         |eth0 eth1|         |eth0 eth1|
                  +-||---||-+         +-||---||-+         +-||---||-+
    +--- box -------||---||-------------||---||-------------||---||----+
    |  switch ----- sa - || ----------- sb - || ----------- sc   ||    |    10.1.0.0/24, ageing_time 300
    |  hub ------------- ha ---------------- hb ---------------- hc    |    10.2.0.0/24, ageing_time 0
    +------------------------------------------------------------------+

Three hosts have two NICs each: one at a bridge that remembers for 300 s behind which port it saw a source MAC, one at a
bridge that forgets at once. What the first does not know yet it floods, as the second always does.

See bridge(8), br_fdb_update() in net/bridge/br_fdb.c, br_flood() in net/bridge/br_forward.c, and RFC 826 for ARP.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms, depends, refutes

topology = Topology()
a, b, c, box = (topology.namespace(name) for name in ("a", "b", "c", "box"))
a0, sa = a.veth("eth0", "sa", netns=box)
b0, sb = b.veth("eth0", "sb", netns=box)
c0, sc = c.veth("eth0", "sc", netns=box)
switch = box.bridge("switch", ports=[sa, sb, sc], ageing_time=300)
a1, ha = a.veth("eth1", "ha", netns=box)
b1, hb = b.veth("eth1", "hb", netns=box)
c1, hc = c.veth("eth1", "hc", netns=box)
hub = box.bridge("hub", ports=[ha, hb, hc], ageing_time=0)
for number, (nic, other) in enumerate([(a0, a1), (b0, b1), (c0, c1)], start=1):
    nic.address(f"10.1.0.{number}/24")
    other.address(f"10.2.0.{number}/24")

BROADCAST, GROUP, SPARE = "ff:ff:ff:ff:ff:ff", "11:22:33:44:55:66", "02:00:00:00:00:99"
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
to_spare = Ether(dst=SPARE, type=0x88B5)  # a type for experiments, which no stack answers


@confirms("arp-request-broadcast", "arp-reply-unicast", "arp-requester-caches", "arp-target-learns-requester")
@confirms("arp-bystanders-do-not-learn", "bridge-broadcast-flood", "bridge-forwards-by-mac", "arp-cache-skips-request")
def test_question_and_answer(net: Network) -> None:
    """The question goes everywhere but back, the answer to the asker only; both remember, the third does not."""
    request = Ether(dst=BROADCAST) / ARP(op="who-has", pdst=b0.ip)
    with net.capture() as seen:
        assert net.ping(b0.ip, dev=a0, count=2)
    assert seen.where(request) == {a0, sa, sb, sc, switch, b0, c0}
    assert len(seen.frames(request, on=a0)) == 1
    assert seen.paths(Ether(dst=a0.mac) / ARP(op="is-at", psrc=b0.ip)) == [[b0, sb, sa, a0]]
    assert seen.count(ARP()) == 2
    assert seen.path(echo) == [a0, sa, sb, b0]
    assert seen.path(echo_reply) == [b0, sb, sa, a0]
    assert [entry.mac for entry in net.neighbours(a0) + net.neighbours(b0)] == [b0.mac, a0.mac]
    assert net.neighbours(c0) == []


@confirms("bridge-learns-source-mac")
@refutes("switch-arp-table-name", "arp-cache-every-device", "switch-has-routing-table", "switch-ff-entry-all-ports")
@refutes("switch-table-multicast-mac")
def test_the_tables(net: Network) -> None:
    """A switch knows MACs and ports; no IP address, no route, not the broadcast MAC, and no group MAC of a sender."""
    assert net.ping(b0.ip, dev=a0)
    for source, where in ((GROUP, {c0, sc}), (SPARE, {c0, sa, sb, sc, switch, a0, b0})):
        frame = Ether(src=source, dst=BROADCAST, type=0x88B5)
        with net.capture() as seen:
            net.send(frame, dev=c0)
        assert seen.where(frame) == where  # a group address sends nothing, so its frame is not let through either
    learned = {entry.mac: entry.dev for entry in net.fdb(switch) if entry.state == "learned"}
    assert learned == {a0.mac: "sa", b0.mac: "sb", SPARE: "sc"}
    assert {BROADCAST, GROUP}.isdisjoint(entry.mac for entry in net.fdb(switch))
    assert (net.neighbours(box), net.routes(box)) == ([], [])


@confirms("bridge-unknown-unicast-flood", "bridge-mac-move")
@depends("switch-never-broadcasts", on="whether the switch has learned the destination")
def test_never_heard_of(net: Network) -> None:
    """A frame for an unknown MAC is flooded, though never to the bridge itself; one for a known MAC follows it."""
    with net.capture() as seen:
        net.send(to_spare, dev=a0)
    assert seen.where(to_spare) == {a0, sa, sb, sc, b0, c0}
    assert len(seen.frames(to_spare, on=a0)) == 1
    for nic, port in ((b0, sb), (c0, sc)):
        net.send(Ether(src=SPARE, dst=a0.mac, type=0x88B5), dev=nic)
        with net.capture() as seen:
            net.send(to_spare, dev=a0)
        assert seen.path(to_spare) == [a0, sa, port, nic]


@confirms("hub-floods-all", "hub-eavesdrop")
@refutes("hub-floods-ingress-too")
@depends("same-subnet-send-is-broadcast", on="hub or switch: c gets the frames on a hub only, unicast on both")
def test_a_hub_forgets(net: Network) -> None:
    """On the hub c overhears question and answer, and still nothing returns to its sender; on the switch neither."""
    for sender, receiver, everywhere in ((a0, b0, {a0, sa, sb, b0}), (a1, b1, {a1, ha, hb, hc, b1, c1})):
        with net.capture() as seen:
            assert net.ping(receiver.ip, dev=sender)
        for packet in (Ether(dst=receiver.mac) / IP() / echo, Ether(dst=sender.mac) / IP() / echo_reply):
            assert seen.where(packet) == everywhere
        assert len(seen.frames(echo, on=sender)) == len(seen.frames(echo_reply, on=receiver)) == 1
    assert [entry for entry in net.fdb(hub) if entry.state == "learned"] == []


@confirms("mac-foreign-dst-dropped")
def test_not_for_my_mac(net: Network) -> None:
    """A packet for c's address in a frame for b's MAC arrives at c, and c does not look at it; with c's MAC it does."""
    for mac, answers in ((b1.mac, 0), (c1.mac, 1)):
        packet = Ether(dst=mac) / IP(dst=c1.ip) / ICMP(type="echo-request", id=7)
        with net.capture() as seen:
            net.send(packet, dev=a1)
        assert seen.where(packet) == {a1, ha, hb, hc, b1, c1}
        assert seen.count(echo_reply) == answers


@confirms("veth-two-ns-many-need-bridge")
def test_everyone_reaches_everyone(net: Network) -> None:
    """Three pairs and a bridge join three hosts; out of the bridge a pair joins its two ends only."""
    assert all(net.ping(two.ip, dev=one) for one in (a0, b0, c0) for two in (a0, b0, c0) if one != two)
    net.detach(sc)
    assert not net.ping(c0.ip, dev=a0)
