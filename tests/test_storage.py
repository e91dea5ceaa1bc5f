"""Frames are kept in bounded memory, then in a file; where that is full, what was kept stays and the rest is told."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import pair, sandboxed

from pktlab.errors import Inconclusive
from pktlab.kernel import libc, storage
from pktlab.kernel.storage import Full, Storage, place, placed
from pktlab.network import Network

HEADER = b"\x02\xff\0\0\0\1" + b"\x02\0\0\0\0\1" + b"\x88\xb6"


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1), st.booleans())
def test_a_place_is_a_number(netns: int, index: int, outgoing: bool) -> None:
    assert placed(place(netns, index, outgoing)) == (netns, index, outgoing)


@given(st.lists(st.binary(max_size=90)), st.integers(1, 3), st.data())
def test_what_was_added_is_there(frames: list[bytes], memory: int, data: st.DataObject) -> None:
    """Whether it is in memory or in the file; in pieces, too."""
    kept = Storage(segment=4096, memory=memory * 4096)
    frames = frames * data.draw(st.sampled_from((1, 300)))
    for number, frame in enumerate(frames):
        kept.add(frame, number * 10, number)
    assert [kept.data(row) for row in range(len(kept))] == frames
    assert list(kept.time) == [row * 10 for row in range(len(frames))]
    start = data.draw(st.integers(0, len(frames)))
    stop = data.draw(st.integers(start, len(frames)))
    found: list[bytes] = []
    for row, buffer, offsets, lengths in kept.chunks(start, stop):
        assert row == start + len(found)
        found += [bytes(buffer[o : o + n]) for o, n in zip(offsets, lengths, strict=True)]
    assert found == frames[start:stop]


def test_beyond_its_memory_it_is_a_file_without_a_name(tmp_path: Path) -> None:
    kept = Storage(segment=4096, memory=2 * 4096, folder=str(tmp_path))
    frames = [Random(n).randbytes(1000) for n in range(100)]
    for frame in frames:
        kept.add(frame, 0, 0)
    assert os.fstat(kept._file).st_size == 4096 * (len(kept.segments) - 2) > 20 * 4096
    assert list(tmp_path.iterdir()) == []
    kept.close()
    assert [kept.data(row) for row in range(100)] == frames


def test_a_file_has_its_limit() -> None:
    kept = Storage(segment=4096, memory=4096, file=2 * 4096)
    for _ in range(12):
        kept.add(bytes(1000), 0, 0)
    with pytest.raises(Full, match="a capture keeps 0 MiB at most"):
        kept.add(bytes(1000), 0, 0)
    # For good, though the file was made larger since.
    kept._file_limit += 100
    with pytest.raises(Full):
        kept.add(bytes(1000), 0, 0)
    assert [kept.data(row) for row in range(12)] == [bytes(1000)] * 12


def test_rows_have_their_limit() -> None:
    """Their columns stay in memory, wherever the bytes are."""
    kept = Storage(segment=4096, rows=3)
    for _ in range(3):
        kept.add(b"frame", 0, 0)
    with pytest.raises(Full, match="a capture keeps 3 frames at most"):
        kept.add(b"frame", 0, 0)
    assert len(kept) == 3
    with pytest.raises(Full):
        kept.room(1)


@pytest.mark.parametrize("ring", [False, True])
@sandboxed
def test_more_frames_than_there_are_rows_for_are_counted_as_lost(ring: bool) -> None:
    """Whether they come by a socket, or out of a ring's blocks that are taken apart when all have come."""
    topology = pair()
    one = topology.namespaces["a"].devices["eth0"]
    storage.ROW_LIMIT = 50
    with Network(topology) as net:
        told = r"lost 150 frames.*a capture keeps 50 frames at most"
        with pytest.raises(Inconclusive, match=told), net.capture(ring=ring):
            net.send([HEADER + bytes(50)] * 100, dev=one)
        assert len(net.recording.frames) == 50


def tmpfs(size: int) -> str:
    folder = "/run/small"
    os.mkdir(folder)
    libc.mount("tmpfs", folder, "tmpfs", 0, f"size={size}")
    tempfile.tempdir = folder
    return folder


@pytest.mark.parametrize("ring", [False, True])
@sandboxed
def test_a_full_disk_keeps_what_was_there_and_makes_it_inconclusive(ring: bool) -> None:
    storage.SEGMENT = 256 << 10
    storage.MEMORY_LIMIT = 512 << 10
    folder = tmpfs(1 << 20)
    topology = pair()
    one = topology.namespaces["a"].devices["eth0"]
    frames = [(HEADER + n.to_bytes(4, "big")).ljust(1000, b".") for n in range(3000)]
    with Network(topology) as net:
        with pytest.raises(Inconclusive) as caught, net.capture(ring=ring):
            net.send(frames, dev=one)
        kept = [frame.data for frame in net.recording.frames if frame.interface == one]
        assert kept == frames[: len(kept)]
        lost = net.losses()
        assert len(kept) + lost["a"] == 3000
        # Half a MiB of memory and one of file hold so many, of two namespaces.
        assert 900 < len(net.recording.frames) < 1600
        assert caught.value.message == (
            f"the capture lost {sum(lost.values())} frames: {lost['a']} in namespace a, {lost['b']} in namespace b; "
            f"the rest of the capture does not fit into {folder}: No space left on device"
        )
        assert "TMPDIR" in caught.value.remedy
        assert os.listdir(folder) == []


@sandboxed
def test_a_capture_that_goes_to_a_file_answers_as_ever() -> None:
    storage.SEGMENT = 64 << 10
    storage.MEMORY_LIMIT = 128 << 10
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    frames = [(HEADER + n.to_bytes(4, "big")).ljust(1000, b".") for n in range(1000)]
    with Network(topology) as net:
        with net.capture():
            net.send(frames, dev=one)
        assert net.recording.frames.storage._spilled > 20
        assert [f.data for f in net.recording.frames if f.interface == two] == frames
        assert [len(journey.frames) for journey in net.recording.journeys] == [2] * 1000
