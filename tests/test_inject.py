"""What is sent goes out as it was given, in order, when it is due, and all of it."""

from __future__ import annotations

import errno
import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import listed, pair, sandboxed
from scapy.layers.l2 import Ether

from pktlab.errors import DeadlineExceeded, Inconclusive, KernelError, LabError, MachineError
from pktlab.frame import IN, OUT, Frame
from pktlab.frames import pcapng
from pktlab.interface import Interface
from pktlab.kernel import inject, schedule
from pktlab.kernel.mmsg import Sender
from pktlab.network import Network
from pktlab.topology import Device, Topology

HEADER = b"\xff" * 6 + b"\x02\0\0\0\0\1" + b"\x88\xb6"


def numbered(count: int, *, size: int = 60) -> list[bytes]:
    return [(HEADER + i.to_bytes(4, "big")).ljust(size, b".") for i in range(count)]


def between() -> tuple[Topology, Device, Device]:
    topology = pair()
    return topology, topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]


def seen(net: Network, dev: Interface, direction: str) -> list[Frame]:
    net.settle()
    return [f for f in net.recording.frames if (f.interface, f.direction) == (dev, direction)]


def shaped(net: Network, words: str) -> None:
    """Put a queueing discipline on a/eth0."""
    done = net.run(net.topology.namespaces["a"], ["tc", "qdisc", "add", "dev", "eth0", "root", *words.split()])
    if not done:
        raise MachineError(f"no queueing discipline {words!r} here: {done.stderr}", remedy="use a kernel that has it")


def soon(attempt: Callable[[], bool], times: int = 5) -> bool:
    """Try again what another process on this machine may have disturbed."""
    return any(attempt() for _ in range(times))


# What arrives


@sandboxed
def test_bytes_and_order() -> None:
    """Frames of all lengths, more of them than go into one system call."""
    topology, one, two = between()
    chance = random.Random(3)
    frames = [HEADER + chance.randbytes(chance.choice((0, 1, 46, 700, 1500))) for _ in range(1000)]
    with Network(topology) as net:
        sent = net.send(frames, dev=one)
        assert sent == 1000
        assert [f.data for f in seen(net, one, OUT)] == frames
        assert [f.data for f in seen(net, two, IN)] == frames


@pytest.mark.parametrize(("different", "count"), [(1, 600), (3, 200), (255, 3), (256, 3), (257, 3), (1500, 2)])
@sandboxed
def test_repeated_from_first_to_last(different: int, count: int) -> None:
    topology, one, two = between()
    frames = numbered(different)
    with Network(topology) as net:
        assert net.send(frames, dev=one, count=count) == different * count
        assert [f.data for f in seen(net, two, IN)] == frames * count


@sandboxed
def test_nothing_to_send() -> None:
    topology, one, _ = between()
    with Network(topology) as net:
        sent = net.send([], dev=one)
        assert (sent, sent.rate) == (0, 0.0)


@sandboxed
def test_fifty_thousand_frames_are_captured_or_counted() -> None:
    topology, one, _ = between()
    with Network(topology) as net:
        assert net.send(numbered(1), dev=one, count=50_000) == 50_000
        net.settle()
        lost = net.losses()
        found = len(net.recording.frames)
        # Where all frames of this machine meet, in the backlog of a processor, a storm of somebody else may leave no
        # room; then the frame is seen going out and not coming in.
        (link,) = listed(net, topology.namespaces["a"], "ip", "-s", "link", "show", "eth0")
        dropped = link["stats64"]["tx"]["dropped"]
        assert found + sum(lost.values()) == 100_000 - dropped
        assert found > 50_000


@sandboxed
def test_repeats_take_no_memory() -> None:
    topology, _, _ = between()
    with Network(topology) as net:
        net._testbed.recorder.stop()
        tracemalloc.start()
        assert inject.send(net._testbed.namespaces["a"], "eth0", numbered(2), count=100_000) == 200_000
        _, most = tracemalloc.get_traced_memory()
        assert most < 400_000


# When


@sandboxed
def test_rate() -> None:
    """The rate is kept by who sends and as it was captured, within 2 % over half a second."""
    topology, one, two = between()

    def kept(rate: float) -> bool:
        with Network(topology) as net:
            sent = net.send(numbered(1), dev=one, count=int(rate / 2), rate=rate)
            frames = seen(net, two, IN)
            took = (frames[-1].time - frames[0].time) / 1e9
            assert len(frames) == sent == int(rate / 2)
            assert sent.rate <= rate * 1.001
            return sent.rate == pytest.approx(rate, rel=0.02) and (sent - 1) / took == pytest.approx(rate, rel=0.02)

    assert soon(lambda: kept(500.0))
    assert soon(lambda: kept(10_000.0))


@sandboxed
def test_no_rate_is_faster_than_any() -> None:
    """A rate that cannot be reached is told by the answer, and loses nothing."""
    topology, one, two = between()
    with Network(topology) as net:
        sent = net.send(numbered(2000), dev=one, rate=1e9)
        assert sent == 2000
        assert 0 < sent.rate < 1e8
        assert [f.data for f in seen(net, two, IN)] == numbered(2000)


def recorded(path: Path, times: Sequence[int], *, begin: int = 1_700_000_000_123_456_789) -> list[bytes]:
    frames = numbered(len(times))
    dev = Interface("x", "y")
    with path.open("wb") as file:
        pcapng.write(
            file, [Frame(i, begin + t, dev, IN, d) for i, (t, d) in enumerate(zip(times, frames, strict=True))], []
        )
    return frames


MS = 1_000_000
TIMES = [0, 0, 3 * MS, 8 * MS, 8 * MS + 200_000, 40 * MS, 41 * MS, 100 * MS]


@sandboxed
def test_replay_with_its_own_timing(tmp_path: Path) -> None:
    topology, one, two = between()
    frames = recorded(tmp_path / "some.pcapng", TIMES)

    def replayed() -> bool:
        with Network(topology) as net:
            assert net.send(str(tmp_path / "some.pcapng"), dev=one, timing=True) == len(TIMES)
            got = seen(net, two, IN)
            assert [f.data for f in got] == frames
            late = [f.time - got[0].time - due for f, due in zip(got, TIMES, strict=True)]
            return max(map(abs, late)) < 2 * MS

    assert soon(replayed)


@sandboxed
def test_replay_over_again(tmp_path: Path) -> None:
    """A second round begins when the first ends."""
    topology, one, two = between()
    frames = recorded(tmp_path / "some.pcapng", [0, 5 * MS, 20 * MS])

    def replayed() -> bool:
        with Network(topology) as net:
            sent = net.send(str(tmp_path / "some.pcapng"), dev=one, timing=True, count=3)
            assert [f.data for f in seen(net, two, IN)] == frames * 3
            assert sent.seconds > 0.06
            return sent.seconds < 0.07

    assert soon(replayed)


@sandboxed
def test_replay_as_fast_as_possible(tmp_path: Path) -> None:
    topology, one, two = between()
    frames = recorded(tmp_path / "some.pcapng", [0, 60_000 * MS])
    with Network(topology) as net:
        assert net.send(tmp_path / "some.pcapng", dev=one).seconds < 1
        assert [f.data for f in seen(net, two, IN)] == frames


@given(rate=st.floats(0.01, 1e8), number=st.integers(0, 10_000_000))
def test_a_rate_does_not_drift(rate: float, number: int) -> None:
    at = schedule.AtRate(rate)
    assert at.moment(number) == pytest.approx(number * 1e9 / rate, rel=1e-9, abs=2)
    assert at.due(at.moment(number) + 1) > number
    assert at.due(0) == 1


@given(times=st.lists(st.integers(0, 10_000), min_size=1, max_size=20), number=st.integers(0, 60))
def test_recorded_times_never_go_back(times: list[int], number: int) -> None:
    when = schedule.AsRecorded(times)
    moments = [when.moment(i) for i in range(61)]
    assert moments[0] == 0
    assert all(a <= b for a, b in pairwise(moments))
    assert when.due(when.moment(number)) > number
    waits = number % len(times) and when.moment(number) > when.moment(number - 1)
    assert not waits or when.due(when.moment(number) - 1) == number


@sandboxed
def test_waiting_takes_no_processor() -> None:
    topology, one, _ = between()
    with Network(topology) as net:
        began = time.process_time()
        net.send(numbered(1), dev=one, count=6, rate=20)
        assert time.process_time() - began < 0.1


# A full queue


@sandboxed
def test_a_full_queue_loses_nothing() -> None:
    """The queueing discipline drops what it has no room for and says so; each such frame is sent again."""
    topology, one, two = between()
    with Network(topology) as net:
        shaped(net, "tbf rate 20mbit burst 3000 limit 8000")
        began = time.process_time()
        sent = net.send(numbered(500, size=1000), dev=one)
        assert sent.seconds > 0.15
        assert time.process_time() - began < sent.seconds / 2  # it waits for room, and does not ask over and over
        # What is still in the queue leaves by and by.
        assert soon(lambda: [f.data for f in seen(net, two, IN)] == numbered(500, size=1000), times=10_000)
        assert sent == 500


@sandboxed
def test_a_queue_that_moves_on_too_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inject, "STALL_SECONDS", 0.1)
    topology, one, _ = between()
    with Network(topology) as net:
        shaped(net, "tbf rate 8bit burst 1100 limit 3000")
        with pytest.raises(DeadlineExceeded, match=r"took no frame for 0\.1 s; the next is frame [345]\n"):
            net.send(numbered(500, size=1000), dev=one)


@sandboxed
def test_a_queue_that_takes_no_such_frame() -> None:
    topology, one, _ = between()
    with Network(topology) as net:
        shaped(net, "tbf rate 20mbit burst 500 limit 8000")
        with pytest.raises(
            KernelError, match=r"send frame 2 of 2 \(1000 bytes\) out of a/eth0: No buffer space"
        ) as caught:
            net.send([*numbered(1), *numbered(1, size=1000)], dev=one)
        assert "queueing discipline" in caught.value.remedy


# What the interface drops


class Dropping(Sender):
    """As the kernel does where a processor's backlog is full: these frames have been sent as far as captures can tell,
    and the call ends there; with an error only if it was the first."""

    numbers = frozenset[int]()

    def send(self, descriptor: int, number: int, most: int) -> int:
        took = 0
        while took < self.at_once(number, most) and number + took not in self.numbers:
            took += super().send(descriptor, number + took, 1)
        if not took and number in self.numbers:
            super().send(descriptor, number, 1)
            raise OSError(errno.ENOBUFS, "")
        if took < self.at_once(number, most):
            super().send(descriptor, number + took, 1)
        return took


@pytest.mark.parametrize("numbers", [{0}, {5}, {0, 1, 2}, {5, 6, 599}, {255, 256, 299, 300}])
@sandboxed
def test_a_frame_dropped_on_its_way_out_is_not_sent_twice(numbers: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has been seen going out, so it is counted, and makes the act inconclusive, after all others have been sent."""
    monkeypatch.setattr(Dropping, "numbers", frozenset(numbers))
    monkeypatch.setattr(inject, "Sender", Dropping)
    monkeypatch.setattr(inject._Drops, "more", lambda _self: True)
    topology, one, _ = between()
    with Network(topology) as net:
        with pytest.raises(Inconclusive, match=f"a/eth0 dropped {len(numbers)} of 600 frames on their way out"):
            net.send(numbered(300), dev=one, count=2)
        assert [f.data for f in seen(net, one, OUT)] == numbered(300) * 2


# What is refused


@sandboxed
def test_a_refused_frame_is_named() -> None:
    topology, one, two = between()
    with Network(topology) as net:
        frames = [*numbered(300), HEADER.ljust(1515, b"."), *numbered(3)]
        with pytest.raises(KernelError, match=r"send frame 301 of 608 \(1515 bytes\) out of a/eth0") as caught:
            net.send(frames, dev=one, count=2)
        assert "MTU" in caught.value.remedy
        assert [f.data for f in seen(net, two, IN)] == numbered(300)
        with pytest.raises(KernelError, match=r"send frame 1 of 1 \(13 bytes\) out of a/eth0: Invalid arg") as caught:
            net.send(HEADER[:13], dev=one)
        assert "14 bytes" in caught.value.remedy
        net.down(one)
        with pytest.raises(
            KernelError, match=r"send frame 1 of 2 \(60 bytes\) out of a/eth0: Network is down"
        ) as caught:
            net.send(numbered(2), dev=one)
        assert "net.up" in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 0}, "rate 0 is out of range"),
        ({"rate": True}, "rate True is out of range"),
        ({"rate": "10"}, "rate '10' is out of range"),
        ({"rate": float("nan")}, "rate nan is out of range"),
        ({"rate": 0.001, "count": 5}, "would take 4,000 s"),
        ({"timing": True}, "only a capture file has times: list is none"),
        ({"count": 0}, "count 0 is out of range"),
    ],
)
@sandboxed
def test_what_makes_no_sense(options: dict[str, object], words: str) -> None:
    topology, one, _ = between()
    with Network(topology) as net:
        with pytest.raises(LabError, match=words):
            net.send([Ether(src=one.mac, dst="ff:ff:ff:ff:ff:ff", type=0x88B6)], dev=one, **options)  # type: ignore[arg-type]
        net.settle()
        assert net.recording.frames == []


def test_a_rate_and_the_files_times() -> None:
    with pytest.raises(LabError, match="contradict each other"):
        schedule.planned(2, rate=1.0, times=[0, 1])
