"""That a capture is complete is proved on every interface, and leaves no trace that a lab would meet."""

from __future__ import annotations

import io
import json
import statistics
import time
from pathlib import Path

import pytest
from inside import listed, output, pair, sandboxed
from scapy.layers.inet import ICMP

from pktlab.frame import IN, OUT
from pktlab.frames import pcapng
from pktlab.interface import Interface
from pktlab.kernel import proof
from pktlab.network import Network
from pktlab.topology import Topology


def every_kind() -> Topology:
    """Two nodes with a bridge each, a tunnel between them, a host on one of them with a macvlan device, and a tap."""
    topology = Topology()
    host, n1, n2 = (topology.namespace(name) for name in ("host", "n1", "n2"))
    eth0, p1 = host.veth("eth0", "p1", netns=n1)
    u1, u2 = n1.veth("eth0", "eth0", netns=n2)
    eth0.address("10.0.0.1/24")
    u1.address("10.9.0.1/24")
    u2.address("10.9.0.2/24")
    vx1 = n1.vxlan("vx0", id=7, local="10.9.0.1", remote="10.9.0.2", dev=u1)
    vx2 = n2.vxlan("vx0", id=7, local="10.9.0.2", remote="10.9.0.1", dev=u2)
    n1.bridge("br0", ports=[p1, vx1]).address("10.0.0.254/24")
    n2.bridge("br0", ports=[vx2])
    host.macvlan("mac0", link=eth0, mode="bridge")
    far, _near = n2.veth("down0", "down1")
    far.down()
    return topology


def names(some: object) -> set[str]:
    assert isinstance(some, dict)
    return set(some)


@pytest.mark.parametrize("ring", [False, True])
@sandboxed
def test_every_interface_that_can_carry_a_marker_is_armed_and_fenced(ring: bool) -> None:
    topology = every_kind()
    with Network(topology) as net:
        assert net.recording.proof.as_json() == {}
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        with net.capture(ring=ring) as seen:
            assert net.ping("10.0.0.254", dev=topology.namespaces["host"].devices["eth0"])
        after = time.clock_gettime_ns(time.CLOCK_REALTIME)
        found = net.recording.captured("", [], {}).proof
        carrying = {"host/lo", "host/eth0", "n1/lo", "n1/p1", "n1/eth0", "n1/br0", "n2/lo", "n2/eth0"}
        # A macvlan device gets its carrier when the kernel finds the time.
        late = {"host/mac0"}
        assert names(found["armed"]) - late == names(found["fenced"]) - late == carrying
        found["without"].pop("host/mac0", None)
        assert {name: why.split(":")[0] for name, why in found["without"].items()} == {
            "n1/vx0": "what is sent there goes on to other nodes, in a packet of its own",
            "n2/vx0": "what is sent there goes on to other nodes, in a packet of its own",
            # Its only port is the tunnel, and so it has its MAC.
            "n2/br0": proof.TAKEN,
            "n2/down0": "it is down",
            "n2/down1": "it has no carrier",
        }
        frames = net.recording.frames
        for name in carrying:
            assert before < found["armed"][name] < frames[0].time
            assert frames[-1].time < found["fenced"][name] < after
        assert (found["rounds"], found["lost"], found["drained"]) == (2, 0, len(frames))
        assert json.loads(json.dumps(found)) == found
        # No marker is among the frames.
        assert seen.path(ICMP(type="echo-request")) != []
        assert all(frame.data[12:14] in (b"\x08\x00", b"\x08\x06") for frame in frames)


@sandboxed
def test_markers_leave_tables_as_they_are() -> None:
    """Forwarding, neighbours, drops, errors: nothing moves but frames sent and received, by one or two."""
    topology = every_kind()
    spaces = topology.namespaces.values()

    def tables(net: Network) -> list[str]:
        commands = (
            ("bridge", "fdb"),
            ("ip", "neigh", "show", "nud", "all"),
            ("cat", "/proc/net/snmp", "/proc/net/netstat"),
        )
        return [output(net, space, *command) for space in spaces for command in commands]

    def statistics_of(net: Network) -> dict[str, dict[str, int]]:
        out = {}
        for space in spaces:
            for link in listed(net, space, "ip", "-s", "link"):
                rx, tx = link["stats64"]["rx"], link["stats64"]["tx"]
                out[f"{space.name}/{link['ifname']}"] = {f"rx {k}": v for k, v in rx.items()} | {
                    f"tx {k}": v for k, v in tx.items()
                }
        return out

    with Network(topology) as net:
        net._prove(fence=False)
        before, counts = tables(net), statistics_of(net)
        net._prove(fence=True)
        for now, then in zip(tables(net), before, strict=True):
            assert now.split() == then.split()
        moved = {
            name: {key: now[key] - counts[name][key] for key in now if now[key] != counts[name][key]}
            for name, now in statistics_of(net).items()
        }
        for name, changes in moved.items():
            # What is beneath a macvlan counts what none of both takes; what has no carrier, what it cannot send.
            dropped = {"host/eth0": {"rx dropped"}, "n2/down1": {"tx dropped"}}.get(name, set())
            assert set(changes) <= {"rx bytes", "rx packets", "tx bytes", "tx packets"} | dropped, name
            assert all(changes.get(f"{way} packets", 0) <= 2 for way in ("rx", "tx")), name
        assert moved["n1/vx0"] == moved["n2/vx0"] == moved["n2/br0"] == {}
        assert moved["n1/eth0"] == {"tx bytes": 60, "tx packets": 1}
        assert moved["n2/eth0"] == {"rx bytes": 60, "rx packets": 1}
        assert moved["n1/br0"] == {"tx bytes": 60, "tx packets": 1}


@sandboxed
def test_an_interface_that_goes_down_in_the_act_is_told() -> None:
    topology = pair()
    one = topology.namespaces["a"].devices["eth0"]
    with Network(topology) as net:
        with net.capture():
            net.down(one)
        found = net.recording.captured("", [], {}).proof
        assert "a/eth0" in found["armed"]
        assert names(found["fenced"]) == {"a/lo", "b/lo"}
        assert found["without"] == {"a/eth0": "it is down", "b/eth0": "it has no carrier"}
        assert net.recording.proof.notes()[one].endswith("not fenced; then no more: it is down")
        net.up(one)
        with net.capture():
            pass
        assert net.recording.proof.without == {}


@pytest.mark.parametrize("words", ["pfifo limit 1", "tbf rate 8bit burst 100 limit 10000"], ids=["queues", "holds"])
@sandboxed
def test_where_a_marker_is_held_back_that_of_the_other_end_is_heard(words: str) -> None:
    topology = pair()
    a, b = topology.namespaces.values()
    one, two = a.devices["eth0"], b.devices["eth0"]
    with Network(topology) as net:
        done = net.run(a, ["tc", "qdisc", "add", "dev", "eth0", "root", *words.split()])
        assert done, done.stderr
        for _ in range(3):
            net._prove(fence=True)
        assert net.recording.proof.without == {}
        assert set(net.recording.proof.fenced) == {one, two, a.lo, b.lo}


@sandboxed
def test_what_comes_after_the_last_block_is_fenced_as_well() -> None:
    topology = pair()
    with Network(topology) as net:
        with net.capture():
            pass
        assert net.recording.proof.rounds == 2
        net.ping("10.0.0.2", ns=topology.namespaces["a"])
        net.finish()
        assert net.recording.proof.rounds == 3
        last = net.recording.frames[-1].time
        assert all(last < each for each in net.recording.proof.fenced.values())


@sandboxed
def test_the_file_tells_what_was_proved() -> None:
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    with Network(topology) as net:
        with net.capture():
            net.ping("10.0.0.2", dev=one)
        for markers in (False, True):
            path = Path("/run/proof.pcapng")
            net.recording.write(
                str(path), net.interfaces, dropped={}, names={}, comment="", application="", markers=markers
            )
            read = pcapng.read(io.BytesIO(path.read_bytes()))
            found = net.recording.proof
            assert read.notes[one] == "armed at {}.{:09}, fenced at {}.{:09}".format(
                *divmod(found.armed[one], 10**9), *divmod(found.fenced[one], 10**9)
            )
            sighted = [(f.interface, f.direction) for f in read.frames if f.data[12:14] == b"\x88\xb5"]
            a, b = topology.namespaces["a"].lo, topology.namespaces["b"].lo
            rounds = [(a, OUT), (a, IN), (one, OUT), (b, OUT), (b, IN), (two, IN)]
            assert sorted(sighted, key=str) == sorted(rounds * 2 * markers, key=str)
            assert len(read.frames) - len(sighted) == len(net.recording.frames)
            times = [frame.time for frame in read.frames]
            assert times == sorted(times)


@pytest.mark.parametrize("star", [False, True])
@sandboxed
def test_markers_do_not_fill_the_smallest_queue(star: bool) -> None:
    """An ordinary user has 208 KiB where nobody raised net.core.rmem_max."""
    topology = Topology()
    hub = topology.namespace("hub")
    for n in range(300):
        near = topology.namespace(f"n{n}") if star else hub
        near.veth(f"a{n}", f"b{n}", netns=hub)
    with Network(topology, queue=212_992 // 2) as net:
        net._testbed.recorder.automatic = False
        with net.capture():
            pass
        assert net.recording.proof.without == {}
        assert len(net.recording.proof.fenced) == len(net.interfaces)


@sandboxed
def test_a_strangers_frame_of_that_type_is_no_marker() -> None:
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    frame = proof._HEADER.pack(b"\xff" * 6, proof.ETH_P_MARKER, b"stranger", 1).ljust(60, b"\0")
    for ring in (False, True):
        with Network(topology) as net:
            with net.capture(ring=ring):
                net.send(frame, dev=one)
            found: list[Interface] = [each.interface for each in net.recording.frames]
            assert found == [one, two]


@sandboxed
def test_a_stamp_of_reading_proves_nothing() -> None:
    """Where the kernel does not stamp, frames have the time at which they are read: later than all were sent."""
    topology = pair()
    with Network(topology) as net:
        hear = net._prover._hear

        def late(data: bytes, _stamp: int, place: int) -> bool:
            return hear(data, time.clock_gettime_ns(time.CLOCK_REALTIME), place)

        net._testbed.recorder.marker = late
        with net.capture():
            pass
        assert net.recording.proof.armed == {}
        assert set(net.recording.proof.without.values()) == {proof.HELD}


@sandboxed
def test_it_is_cheap() -> None:
    topology = pair()
    with Network(topology) as net:
        net._prove(fence=False)
        took = []
        for _ in range(50):
            began = time.process_time()
            net._prove(fence=True)
            took.append(time.process_time() - began)
        assert statistics.median(took) < 0.002, took
