"""A recording follows all packets when it must, and a few of them when only those are asked for."""

from __future__ import annotations

from random import Random

import pytest
from crafted import ether, ip, is_at, sightings, who_has
from scapy.layers.inet import UDP

from pktlab.frame import Frame
from pktlab.network import recording as module
from pktlab.network.recording import Recording


def recording(rng: Random) -> Recording:
    """Three stretches of frames, some of which are alike across them."""
    kinds = [
        who_has(),
        is_at(),
        *(ether() / ip(id=n, ttl=ttl) / UDP(dport=9) / b"x" for n in (1, 2) for ttl in (64, 63)),
    ]
    places = [(f"{netns}/eth0", way) for netns in "ab" for way in ("in", "out")]
    frames = sightings(*[(*rng.choice(places), rng.choice(kinds)) for _ in range(40)])
    out = Recording()
    for end in (rng.randint(1, 15), 25, 40):
        out.frames.add(frames[len(out.frames) : end])
        if rng.random() < 0.5:
            assert out.journeys
        if end < 40:
            assert out.cut() == end
    return out


def numbers(frames: list[Frame]) -> list[int]:
    return [frame.number for frame in frames]


def test_a_few_packets_are_the_same_as_among_all() -> None:
    for seed in range(40):
        rng = Random(seed)
        one, other = recording(Random(seed)), recording(Random(seed))
        few = sorted(rng.sample(range(40), 3))
        expected = [numbers(j.frames) for j in other.journeys if not {*few}.isdisjoint(f.number - 1 for f in j.frames)]

        found = one.journeys_of([one.frames[n] for n in few])

        assert [numbers(each.frames) for each in found] == expected


def test_packets_are_numbered_by_first_sighting_whatever_was_asked_before() -> None:
    for seed in range(40):
        one, other = recording(Random(seed)), recording(Random(seed))
        one.journeys_of(one.frames[3:30:7])

        assert [each.number for each in one.journeys] == list(range(1, len(one.journeys) + 1))
        assert other.journeys
        assert [frame.packet for frame in one.frames] == [frame.packet for frame in other.frames]
        assert all(frame.packet for frame in one.frames)


def test_no_packet_goes_on_beyond_a_cut() -> None:
    one = recording(Random(1))
    edges = [*one._cuts, 40]
    for journey in one.journeys:
        stretches = {sum(frame.number > edge for edge in edges) for frame in journey.frames}
        assert len(stretches) == 1


def test_asking_leaves_the_numbers_of_packets_alone() -> None:
    one = recording(Random(2))
    assert one.journeys
    before = [frame.packet for frame in one.frames]
    one.journeys_of(one.frames[5:20:5])

    assert [frame.packet for frame in one.frames] == before


def test_of_a_flood_the_first_packets_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recording(Random(3))
    expected = [numbers(each.frames) for each in whole.journeys]
    monkeypatch.setattr(module, "_STORY", 30)
    monkeypatch.setattr(module, "_UNSURE", 4)
    flood = recording(Random(3))

    told = [numbers(each.frames) for each in flood.journeys]
    assert told == [each for each in expected if each[-1] <= 26]
    assert [each.number for each in flood.journeys] == list(range(1, len(told) + 1))
    assert flood.untold == 40 - sum(map(len, told)) > 0
    assert whole.untold == 0
