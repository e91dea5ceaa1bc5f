"""The capture misses nothing, tells the true order, and changes nothing that it looks at."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise

import pytest
from inside import listed, pair, sandboxed
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from pktlab.errors import Inconclusive
from pktlab.frame import IN, OUT, Frame
from pktlab.interface import Interface
from pktlab.kernel import inject
from pktlab.kernel.mmsg import CONTROL
from pktlab.network import Network
from pktlab.topology import Device, Topology

BROADCAST = "ff:ff:ff:ff:ff:ff"
PACKETS = 500


def datagrams(count: int, src: Device, dst: str, *, to: str = "192.0.2.9") -> list[Packet]:
    """UDP datagrams that differ in their IP identification; nobody has the address, so nobody answers."""
    head = Ether(src=src.mac, dst=dst)
    return [head / IP(src="10.0.0.1", dst=to, id=i + 1) / UDP(sport=9, dport=9) / Raw(b"x") for i in range(count)]


def ways(net: Network, *, since: int = 0) -> Counter[tuple[str, ...]]:
    """How often which way was gone, in the order of the recording; interfaces with their direction."""
    found: Counter[tuple[str, ...]] = Counter()
    for journey in net.recording.journeys[since:]:
        found[tuple(f"{frame.interface} {frame.direction}" for frame in journey.frames)] += 1
    return found


def busy(processes: int) -> None:
    """Take the processors' time away; the sandbox's end is theirs."""
    for _ in range(processes):
        subprocess.Popen([sys.executable, "-c", "while True: pass"])


def switched() -> tuple[Topology, Device, Device, Device]:
    topology = Topology()
    h1, sw, h2 = (topology.namespace(name) for name in ("h1", "sw", "h2"))
    e1, p1 = h1.veth("eth0", "p1", netns=sw)
    e2, p2 = h2.veth("eth0", "p2", netns=sw)
    br0 = sw.bridge("br0", ports=[p1, p2])
    return topology, e1, e2, br0


# Order


@pytest.mark.parametrize("processes", [0, 2])
@sandboxed
def test_order_through_a_bridge(processes: int) -> None:
    """2,000 packets over three namespaces, a quarter each to one port, to all, to the bridge and to nobody known."""
    topology, e1, e2, br0 = switched()
    topology.namespaces["sw"].devices["p2"].fdb(e2.mac)
    busy(processes)
    with Network(topology) as net:
        to = {"h2": e2.mac, "all": BROADCAST, "bridge": br0.mac, "nobody": "02:ff:00:00:00:01"}
        frames = {name: datagrams(PACKETS, e1, mac) for name, mac in to.items()}
        begin = "h1/eth0 out", "sw/p1 in"
        expected = {
            "h2": (*begin, "sw/p2 out", "h2/eth0 in"),
            "all": (*begin, "sw/p2 out", "sw/br0 in", "h2/eth0 in"),
            "bridge": (*begin, "sw/br0 in"),
            "nobody": (*begin, "sw/p2 out", "h2/eth0 in"),
        }
        for name, some in frames.items():
            before = len(net.recording.journeys)
            with net.capture():
                net.send(some, dev=e1)
            assert ways(net, since=before) == {expected[name]: PACKETS}, name


@pytest.mark.parametrize("processes", [0, 2])
@sandboxed
def test_order_through_a_tunnel(processes: int) -> None:
    """2,000 packets from host to host through two nodes, out of VXLAN into VXLAN: never a device before its port."""
    topology = Topology()
    h1, n1, n2, h2 = (topology.namespace(name) for name in ("h1", "n1", "n2", "h2"))
    u1, u2 = n1.veth("eth0", "eth0", netns=n2)
    hosts = []
    for host, node, mine, other, underlay in (
        (h1, n1, "10.9.0.1", "10.9.0.2", u1),
        (h2, n2, "10.9.0.2", "10.9.0.1", u2),
    ):
        eth0, port = host.veth("eth0", "p", netns=node)
        underlay.address(f"{mine}/24")
        tunnel = node.vxlan("vx0", id=7, local=mine, remote=other, dev=underlay)
        node.bridge("br0", ports=[port, tunnel])
        hosts.append(eth0)
    u1.neighbour("10.9.0.2", u2.mac)
    busy(processes)
    with Network(topology) as net:
        net.send(datagrams(2000, hosts[0], hosts[1].mac), dev=hosts[0])
        net.settle()
        assert ways(net) == {
            (
                *("h1/eth0 out", "n1/p in", "n1/vx0 out", "n1/eth0 out"),
                *("n2/eth0 in", "n2/vx0 in", "n2/p out", "h2/eth0 in"),
            ): 2000
        }


@sandboxed
def test_numbers_and_times_go_up() -> None:
    topology, e1, e2, _br0 = switched()
    with Network(topology) as net:
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        net.send(datagrams(300, e1, e2.mac), dev=e1)
        after = time.clock_gettime_ns(time.CLOCK_REALTIME)
        net.settle()
        frames = net.recording.frames
        assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
        assert all(before <= frame.time <= after for frame in frames)
        # Nanoseconds, not microseconds times a thousand.
        assert sum(frame.time % 1000 != 0 for frame in frames) > len(frames) / 2
        for name in ("h1", "h2"):
            times = [frame.time for frame in frames if frame.interface.netns == name]
            assert all(one <= two for one, two in pairwise(times))


# Frames


@sandboxed
def test_loopback_shows_each_packet_twice() -> None:
    topology = Topology()
    host = topology.namespace("host")
    with Network(topology) as net, net.capture() as seen:
        assert net.ping("127.0.0.1")
    assert [(f.interface, f.direction) for f in seen.frames(ICMP())] == [(host.lo, OUT), (host.lo, IN)] * 2
    assert seen.path(ICMP(type="echo-request")) == [host.lo]


@pytest.mark.parametrize(
    "tags",
    [Dot1Q(vlan=42, prio=5), Dot1Q(vlan=42) / Dot1Q(vlan=43), Dot1AD(vlan=7, dei=1) / Dot1Q(vlan=8)],
    ids=["one", "two", "provider"],
)
@sandboxed
def test_vlan_tags_are_there(tags: Packet) -> None:
    """The kernel takes the outer tag off a frame that comes in, and tells it apart."""
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    frame = Ether(src=one.mac, dst=two.mac) / tags / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=9) / Raw(b"tagged")
    with Network(topology) as net, net.capture() as seen:
        net.send(frame, dev=one)
    assert [(f.interface, f.data) for f in seen.frames(UDP())] == [(one, bytes(frame)), (two, bytes(frame))]
    assert seen.path(Dot1Q(vlan=tags.lastlayer().vlan)) == [one, two]


@sandboxed
def test_frames_longer_than_the_mtu_are_whole() -> None:
    """TCP hands a veth up to 64 KiB at once (GSO): each frame is kept as long as its IP header says."""
    topology = pair()
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    text = bytes(range(256)) * 1600
    with Network(topology) as net, net.capture() as seen:
        server = net.socket(b, "tcp")
        server.bind(("10.0.0.2", 80))
        server.listen()
        client = net.socket(a, "tcp")
        client.connect(("10.0.0.2", 80))
        peer, _ = server.accept()
        got = b""
        with peer:
            for start in range(0, len(text), 1 << 15):
                client.sendall(text[start : start + (1 << 15)])
                while len(got) < start + (1 << 15) and len(got) < len(text):
                    got += peer.recv(1 << 16)
        client.close()
    assert got == text
    frames = seen.frames(TCP(dport=80), on=b.devices["eth0"])
    assert max(frame.length for frame in frames) > 20_000
    for frame in frames:
        assert len(frame.data) == frame.length >= 14 + int.from_bytes(frame.data[16:18], "big")
    heads = [(14 + (f.data[14] & 15) * 4 + (f.data[34 + 12] >> 4) * 4, f) for f in frames]
    assert b"".join(f.data[head : 14 + int.from_bytes(f.data[16:18], "big")] for head, f in heads) == text


# From the first frame to the last


@sandboxed
def test_the_first_frame_is_there() -> None:
    for _ in range(8):
        topology = pair()
        one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
        with Network(topology) as net:
            net.send(datagrams(1, one, two.mac), dev=one)
            sent = time.clock_gettime_ns(time.CLOCK_REALTIME)
            net.settle()
            assert ways(net) == {("a/eth0 out", "b/eth0 in"): 1}
            # Stamped as it went, not as it was read.
            assert all(frame.time <= sent for frame in net.recording.frames)


@pytest.mark.parametrize("processes", [0, 2])
@sandboxed
def test_the_last_of_a_burst_is_there(processes: int) -> None:
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    frames = [bytes(frame) for frame in datagrams(5000, one, two.mac)]
    busy(processes)
    with Network(topology) as net:
        with net.capture():
            assert net.send(frames, dev=one) == 5000
        assert ways(net) == {("a/eth0 out", "b/eth0 in"): 5000}
        assert [frame.data for frame in net.recording.frames if frame.interface == two] == frames


@sandboxed
def test_a_burst_out_of_every_port_of_a_hub_is_there() -> None:
    topology = Topology()
    sw = topology.namespace("sw")
    ends = [sw.veth(f"p{i}", f"h{i}") for i in range(8)]
    sw.bridge("br0", ports=[port for port, _ in ends], ageing_time=0)
    with Network(topology) as net, net.capture():
        net.send(Ether(dst=BROADCAST, type=0x88B6) / Raw(b"x" * 100), dev=ends[0][1], count=1000)
    assert len(net.recording.frames) == 1000 * (1 + 1 + 7 + 7 + 1)


@sandboxed
def test_sending_leaves_the_queue_no_time_to_overflow() -> None:
    """Where the queue is as short as an ordinary user's, or shorter, and nobody else reads."""
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    with Network(topology, queue=1 << 16) as net:
        net._testbed.recorder.stop()
        with net.capture():
            net.send(datagrams(1, one, two.mac), dev=one, count=2000)
        assert len(net.recording.frames) == 4000


@sandboxed
def test_reading_ends_though_there_is_always_more() -> None:
    with Network(pair()) as net:
        recorder = net._testbed.recorder
        recorder.stop()
        receiver = recorder._receiver
        soon = time.time_ns() + 60 * 10**9
        for at in range(0, len(receiver.control), CONTROL):
            struct.pack_into("=QiiqqQii20x", receiver.control, at, 32, 1, 35, *divmod(soon, 10**9), 36, 263, 8)
        receiver.receive = lambda descriptor: receiver.count  # type: ignore[method-assign]
        assert recorder.drain() == 2 * receiver.count


# Loss


def lose(net: Network, frames: list[bytes], dev: Interface) -> None:
    """Send while nobody reads."""
    with net._testbed.recorder.fairly():
        inject.send(net._testbed.namespaces[dev.netns], dev.name, frames)


@sandboxed
def test_a_dropped_frame_is_counted_and_makes_it_inconclusive() -> None:
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    frames = [bytes(frame) for frame in datagrams(200, one, two.mac)]
    with Network(topology, queue=1) as net:
        with pytest.raises(Inconclusive) as caught, net.capture():
            lose(net, frames, one)
        lost = net.losses()
        seen = Counter(frame.interface.netns for frame in net.recording.frames)
        assert lost["a"] > 100
        assert {name: lost[name] + seen[name] for name in ("a", "b")} == {"a": 200, "b": 200}
        total = sum(lost.values())
        assert caught.value.message == (
            f"the capture lost {total} frames: {lost['a']} in namespace a, {lost['b']} in namespace b"
        )
        # What is lost stays lost: no later window is complete either.
        with pytest.raises(Inconclusive), net.capture():
            pass


@sandboxed
def test_one_dropped_frame_is_enough() -> None:
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    with Network(topology, queue=1) as net:
        count = 0
        while not any(net.losses().values()):
            count += 1
            net.settle()
            lose(net, [bytes(frame) for frame in datagrams(count, one, two.mac)], one)
        # The queue of both ends holds as many, so with one frame more than fits each lost that one.
        assert net.losses() == {"a": 1, "b": 1}
        with pytest.raises(Inconclusive, match="lost 2 frames: 1 in namespace a, 1 in namespace b"):
            net.check_losses()


@sandboxed
def test_a_reader_that_breaks_makes_it_inconclusive() -> None:
    with Network(pair()) as net:
        recorder = net._testbed.recorder

        def broken(ready: object) -> None:
            raise OSError(5, "broken")

        recorder.read = broken  # type: ignore[method-assign]
        inject.send(net._testbed.namespaces["a"], "eth0", [b"\xff" * 60])
        assert recorder._thread is not None
        recorder._thread.join(10)
        with pytest.raises(Inconclusive, match=r"the capture ended early: .*broken"):
            net.settle()


# The observer


@sandboxed
def test_nothing_is_promiscuous() -> None:
    """An interface that is, shows frames that it would not see otherwise; ports of a bridge are by its own doing."""
    topology, e1, e2, _br0 = switched()
    with Network(topology) as net, net.capture():
        for name, devices in (("h1", ["eth0"]), ("h2", ["eth0"]), ("sw", ["br0"])):
            for device in devices:
                (found,) = listed(net, topology.namespaces[name], "ip", "-d", "link", "show", "dev", device)
                assert (found["promiscuity"], "PROMISC" in found["flags"]) == (0, False)
        net.send(datagrams(1, e1, e2.mac), dev=e1)


@sandboxed
def test_a_frame_for_another_host_is_seen_but_not_taken() -> None:
    """The capture sees what a hub floods; the host's stack still drops it, as PACKET_OTHERHOST."""
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    question = Ether(src=one.mac, dst="02:ff:00:00:00:01") / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP()
    with Network(topology) as net, net.capture() as seen:
        net.send(question, dev=one)
    assert seen.path(ICMP(type="echo-request")) == [one, two]
    assert seen.path(ICMP(type="echo-reply")) == []


@sandboxed
def test_the_capture_goes_on_when_an_interface_is_gone() -> None:
    topology, e1, e2, br0 = switched()
    with Network(topology) as net, net.capture() as seen:
        net.send(datagrams(1, e1, e2.mac), dev=e1)
        net.delete(e2)
        net.send(datagrams(2, e1, br0.mac)[1:], dev=e1)
    paths: list[list[Interface]] = [list(path) for path in seen.paths(UDP())]
    p1, p2 = (topology.namespaces["sw"].devices[name] for name in ("p1", "p2"))
    assert paths == [[e1, p1, p2, e2], [e1, p1, br0]]


def test_a_frame_knows_its_length() -> None:
    frame = Frame(1, 0, Interface("a", "b"), IN, b"12345")
    assert (frame.length, bytes(frame)) == (5, b"12345")
