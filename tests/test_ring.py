"""A ring loses nothing, tells what sockets tell, and takes over from them without losing or doubling a frame."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import pair, sandboxed
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Crafted
from scapy.packet import Raw

from pktlab.errors import Inconclusive
from pktlab.frame import IN, OUT
from pktlab.kernel import inject, ring
from pktlab.kernel.ring import BLOCK, Packet, Ring, packets, tagged
from pktlab.kernel.storage import Storage
from pktlab.network import Network
from pktlab.topology import Device, Topology

HEADER = b"\x02\xff\0\0\0\1" + b"\x02\0\0\0\0\1" + b"\x88\xb6"


def ends(topology: Topology) -> tuple[Device, Device]:
    return topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]


def numbered(count: int) -> list[bytes]:
    return [(HEADER + i.to_bytes(4, "big")).ljust(60, b".") for i in range(count)]


# Blocks, as functions of bytes


@st.composite
def frames(draw: st.DrawFn) -> tuple[bytes, int, int, bool, bytes]:
    data = draw(st.binary(min_size=14, max_size=200))
    nanoseconds = draw(st.integers(0, 2**32 * 10**9 - 1))
    tag = draw(st.sampled_from((b"", b"", b"\x81\0\0\x2a", b"\x88\xa8\x60\x07")))
    return data, nanoseconds, draw(st.integers(1, 2**31 - 1)), draw(st.booleans()), tag


def block_of(some: Sequence[tuple[bytes, int, int, bool, bytes]]) -> bytearray:
    """A block as the kernel fills it (prb_fill_curr_block() in net/packet/af_packet.c)."""
    out = bytearray(48)
    for number, (data, when, index, outgoing, tag) in enumerate(some):
        room = 48 + 20 + 14 + 4
        size = (room + len(data) + 15) & ~15
        status = 1 | (0x50 if tag else 0)
        tpid, tci = struct.unpack("!HH", tag or bytes(4))
        head = struct.pack(
            "=IIIIIIHHIIHH8x",
            *(size if number < len(some) - 1 else 0, *divmod(when, 10**9), len(data), len(data)),
            *(status, room, room + 14, 0, tci, tpid, 0),
        )
        head += struct.pack("=H2siHBB8x", 17, data[12:14], index, 1, 4 if outgoing else 0, 6)
        out += (head.ljust(room, b"\xee") + data).ljust(size, b"\xee")
    struct.pack_into("=IIIIII", out, 0, 2, 48, 1, len(some), 48, len(out))
    return out


@given(st.lists(frames(), max_size=6))
def test_a_block_is_taken_apart(some: list[tuple[bytes, int, int, bool, bytes]]) -> None:
    block = memoryview(block_of(some))
    found = []
    for packet in packets(block):
        start, size = tagged(block, packet)
        found.append((bytes(block[start : start + size]), packet.time, packet.device, packet.outgoing))
        assert packet.protocol == int.from_bytes(block[packet.start + 12 : packet.start + 14], "big")
    assert found == [(data[:12] + tag + data[12:], when, index, way) for data, when, index, way, tag in some]


@given(st.lists(frames(), min_size=1, max_size=3), st.data())
def test_a_block_that_is_cut_off_is_no_block(
    some: list[tuple[bytes, int, int, bool, bytes]], data: st.DataObject
) -> None:
    whole = block_of(some)
    last = list(packets(memoryview(whole)))[-1]
    cut = data.draw(st.integers(0, last.start + last.size - 1))
    with pytest.raises(ValueError, match=r"cut off|runs over the end"):
        list(packets(memoryview(whole)[:cut]))


def test_a_frame_without_a_tag_stays_where_it_is() -> None:
    block = memoryview(bytearray(b"0123456789abcdefghij"))
    assert tagged(block, Packet(4, 16, 0, 1, False, 0, b"")) == (4, 16)
    assert bytes(block) == b"0123456789abcdefghij"


# The same answers


@sandboxed
def test_a_ring_answers_as_sockets_do() -> None:
    topology = pair()
    one, two = ends(topology)
    with Network(topology) as net:
        with net.capture() as before:
            assert net.ping("10.0.0.2", dev=one)
        with net.capture(ring=True) as seen:
            assert net.ping("10.0.0.2", dev=one)
        assert net._testbed.recorder.rings == {"a": 0, "b": 0}
        for each in (before, seen):
            assert each.path(ICMP(type="echo-request")) == [one, two]
            assert each.path(ICMP(type="echo-reply")) == [two, one]
        times = [frame.time for frame in net.recording.frames]
        assert all(earlier <= later for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    "tags",
    [Dot1Q(vlan=42, prio=5), Dot1Q(vlan=42) / Dot1Q(vlan=43), Dot1AD(vlan=7, dei=1) / Dot1Q(vlan=8)],
    ids=["one", "two", "provider"],
)
@sandboxed
def test_vlan_tags_are_there(tags: Crafted) -> None:
    topology = pair()
    one, two = ends(topology)
    frame = Ether(src=one.mac, dst=two.mac) / tags / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=9) / Raw(b"tagged")
    with Network(topology) as net, net.capture(ring=True) as seen:
        net.send(frame, dev=one)
    assert [(f.interface, f.direction, f.data) for f in seen.frames(UDP())] == [
        (one, OUT, bytes(frame)),
        (two, IN, bytes(frame)),
    ]


@sandboxed
def test_times_are_those_of_arrival() -> None:
    topology = pair()
    one, _two = ends(topology)
    with Network(topology) as net, net.capture(ring=True):
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        net.send(numbered(50), dev=one)
        after = time.clock_gettime_ns(time.CLOCK_REALTIME)
    assert len(net.recording.frames) == 100
    assert all(before <= frame.time <= after for frame in net.recording.frames)


@pytest.mark.parametrize("processes", [0, 2])
@sandboxed
def test_order_through_a_bridge(processes: int) -> None:
    topology = Topology()
    h1, sw, h2 = (topology.namespace(name) for name in ("h1", "sw", "h2"))
    e1, p1 = h1.veth("eth0", "p1", netns=sw)
    _e2, p2 = h2.veth("eth0", "p2", netns=sw)
    sw.bridge("br0", ports=[p1, p2])
    for _ in range(processes):
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
    some = [
        Ether(src=e1.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="10.0.0.1", dst="10.0.0.9", id=i) / UDP() / Raw(b"x")
        for i in range(1, 501)
    ]
    with Network(topology) as net:
        with net.capture(ring=True):
            net.send(some, dev=e1)
        ways = Counter(tuple(f"{f.interface} {f.direction}" for f in each.frames) for each in net.recording.journeys)
    assert ways == {("h1/eth0 out", "sw/p1 in", "sw/p2 out", "sw/br0 in", "h2/eth0 in"): 500}


# Taking over


@sandboxed
def test_a_ring_takes_over_in_the_middle_of_a_stream() -> None:
    """Each frame is there once, in order, whoever heard it."""
    topology = pair()
    one, two = ends(topology)
    every = numbered(60_000)
    with Network(topology) as net:
        recorder = net._testbed.recorder
        with net.capture():
            for start in range(0, len(every), 10_000):
                net.send(every[start : start + 5000], dev=one)
                inject.send(net._testbed.namespaces["a"], "eth0", every[start + 5000 : start + 10_000])
                if start == 20_000:
                    recorder.use_rings([1])
                if start == 40_000:
                    recorder.use_rings()
        assert set(recorder.rings) == {"a", "b"}
        assert recorder._queues == {}
        for dev in (one, two):
            assert [frame.data for frame in net.recording.frames if frame.interface == dev] == every


@sandboxed
def test_a_ring_takes_over_while_another_sends() -> None:
    """An ordinary user's queue may overflow meanwhile; still no frame is there twice, and all are accounted for."""
    topology = pair()
    one, two = ends(topology)
    every = numbered(100_000)
    with Network(topology) as net:
        recorder = net._testbed.recorder
        namespace = net._testbed.namespaces["a"]
        sending = threading.Thread(target=inject.send, args=(namespace, "eth0", every))
        sending.start()
        while not len(recorder.storage):
            assert sending.is_alive()
        recorder.use_rings()
        sending.join()
        net.settle()
        lost = net.losses()
        if recorder._retired[0].capacity > 64 << 20:
            assert sum(lost.values()) == 0
        for dev in (one, two):
            found = [frame.data for frame in net.recording.frames if frame.interface == dev]
            assert found == sorted(set(found))
            assert len(every) <= len(found) + lost[dev.netns] <= len(every) + 2


@sandboxed
def test_a_queue_that_fills_gets_a_ring_by_itself() -> None:
    topology = pair()
    one, two = ends(topology)
    every = numbered(1000)
    with Network(topology) as net:
        recorder = net._testbed.recorder
        with net.capture():
            with recorder.fairly():
                namespace = net._testbed.namespaces["a"]
                while recorder._queues[1].filled() < 0.6:
                    inject.send(namespace, "eth0", every)
            while not recorder.rings:
                net.send(every, dev=one)
            net.send(every, dev=one)
        assert sum(net.losses().values()) == 0
        seen = Counter((frame.interface, frame.data) for frame in net.recording.frames)
        assert len({*seen.values()}) == 1
        assert len(seen) == 2000
        assert {interface for interface, _ in seen} == {one, two}


# Loss


@sandboxed
def test_a_ring_that_overflows_counts_what_it_lost() -> None:
    ring.MOST = ring.LEAST = 2 * BLOCK
    with Network(pair()) as net:
        with (
            pytest.raises(Inconclusive, match="the capture lost") as caught,
            net.capture(ring=True),
            net._testbed.recorder.fairly(),
        ):
            inject.send(net._testbed.namespaces["a"], "eth0", numbered(1000), count=10)
        lost = net.losses()
        seen = Counter(frame.interface.netns for frame in net.recording.frames)
        assert lost["a"] > 1000
        assert {name: lost[name] + seen[name] for name in ("a", "b")} == {"a": 10_000, "b": 10_000}
        assert f"the capture lost {sum(lost.values())} frames" in caught.value.message
        assert all(times >= 1 for times in net._testbed.recorder.rings.values())


@sandboxed
def test_the_smallest_ring_hears_the_largest_frame() -> None:
    topology = pair()
    with Network(topology) as net:
        storage = Storage()
        heard = Ring(net._testbed.namespaces["b"], 0, storage, size=2 * BLOCK)
        server = net.socket(topology.namespaces["b"], "tcp")
        server.bind(("10.0.0.2", 80))
        server.listen()
        client = net.socket(topology.namespaces["a"], "tcp")
        client.connect(("10.0.0.2", 80))
        peer, _ = server.accept()
        with peer:
            for _ in range(12):
                client.sendall(bytes(1 << 15))
                got = 0
                while got < 1 << 15:
                    got += len(peer.recv(1 << 16))
                heard.read()
        net.settle()
        heard.drain(time.clock_gettime_ns(time.CLOCK_REALTIME))
        heard.index(lambda *_: False)
        assert heard.losses() == 0
        assert max(storage.length) > 20_000
        heard.close()
