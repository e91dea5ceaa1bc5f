"""A transcript is what a reader sees first: its lines are checked as they are read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pktlab import transcript
from pktlab.act import ActRecord, Captured, Observation, Packet

ASK = "ARP, Request who-has 192.168.3.102 tell 192.168.3.101, length 28"
TELL = "ARP, Reply 192.168.3.102 is-at 02:00:00:01:00:02, length 28"
ECHO = "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64"
HOST = ["host/lo", "host/veth0", "host/veth1", "host/br0"]


def packet(words: str, *path: str) -> Packet:
    return Packet(1, 0.0, words, list(path), [1])


def record(packets: list[Packet], observations: list[Observation] | None = None, **fields: Any) -> ActRecord:
    defaults: dict[str, Any] = {"status": "passed", "seconds": 0.0314, "capture": Captured(interfaces=HOST)}
    fields = defaults | fields
    return ActRecord("lab", "test_a", packets=packets, observations=observations or [], **fields)


def told(act: ActRecord, **options: Any) -> str:
    return "\n".join(transcript.plain(line) for line in transcript.act(act, **options))


def test_the_whole_picture() -> None:
    act = record(
        [
            packet(ASK, "host/veth0", "host/veth1"),
            packet(TELL, "host/veth1", "host/veth0", "host/br0"),
            packet("IP 192.168.3.101 > 192.168.3.101: ICMP host 192.168.3.102 unreachable, length 92", "host/lo"),
        ],
        [
            Observation("ping 192.168.3.102 dev host/veth0", {}, "no answer (No route to host)"),
            Observation("path of ARP is-at", [], "host/veth1 > host/veth0 > host/br0"),
        ],
        title="veth0 asks, veth1 answers, and br0 swallows the answer.",
        story=[("packet", 0), ("packet", 1), ("packet", 2), ("observation", 0), ("observation", 1)],
        capture=Captured("captures/bridge_swallows_arp_reply/address_on_the_port.pcapng", 6, 0, HOST),
    )
    assert told(act) == (
        """\
  test_a
  veth0 asks, veth1 answers, and br0 swallows the answer.

    ARP, Request who-has 192.168.3.102 tell 192.168.3.101    veth0 > veth1
    ARP, Reply 192.168.3.102 is-at 02:00:00:01:00:02         veth1 > veth0 > br0
    IP 192.168.3.101 > 192.168.3.101: ICMP host 192.168.3.102 unreachable  lo
    ? ping 192.168.3.102 dev veth0: no answer (No route to host)
    ? path of ARP is-at: veth1 > veth0 > br0

  passed  0.031 s  captures/bridge_swallows_arp_reply/address_on_the_port.pcapng"""
    )


def test_a_packet_too_long_for_its_column_has_its_path_below() -> None:
    act = record([packet(ECHO, "h1/eth0", "sw/p1", "sw/p2", "h2/eth9")], capture=Captured())
    assert told(act, width=70).splitlines()[2:4] == [
        "    IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1",
        "        eth0 > p1 > p2 > eth9",
    ]


def test_a_path_too_long_for_a_line_is_broken_at_its_hops() -> None:
    hops = [f"node{n}/interface{n}" for n in range(8)]
    lines = told(record([packet(ECHO, *hops)], capture=Captured()), width=60).splitlines()
    assert lines[3:6] == [
        "        interface0 > interface1 > interface2 > interface3",
        "        > interface4 > interface5 > interface6 > interface7",
        "",
    ]


def test_a_packet_in_a_tunnel_is_broken_where_the_tunnel_begins() -> None:
    outer = "IP 172.16.0.1.4789 > 172.16.0.2.4789: VXLAN, flags [I] (0x08), vni 42"
    lines = told(record([packet(f"{outer} / {ECHO}", "a/eth0")], capture=Captured())).splitlines()
    assert lines[2:4] == [f"    {outer}", "    / IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1  eth0"]
    assert "length" not in told(record([packet(f"{outer}, length 114 / {ECHO}")]))


def test_what_no_path_depends_on_is_left_out() -> None:
    words = "IP 1.1.1.1.1 > 1.1.1.2.2: Flags [S], seq 1, win 6, options [mss 1460,TS val 1 ecr 0], length 0"
    assert "IP 1.1.1.1.1 > 1.1.1.2.2: Flags [S], seq 1, win 6  a/eth0\n" in told(
        record([packet(words, "a/eth0", "b/eth0")])
    ).replace(" > b/eth0", "")


def test_retries_are_folded_but_not_across_a_question() -> None:
    ask = packet(ASK, "host/veth0", "host/veth1")
    act = record(
        [ask, ask, ask, ask],
        [Observation("q", 1, "a")],
        story=[("packet", 0), ("packet", 1), ("packet", 2), ("observation", 0), ("packet", 3)],
    )
    lines = told(act).splitlines()[2:6]
    assert [line.strip() for line in lines] == [
        "ARP, Request who-has 192.168.3.102 tell 192.168.3.101  veth0 > veth1  ×3",  # noqa: RUF001
        "? q: a",
        "",
        "ARP, Request who-has 192.168.3.102 tell 192.168.3.101  veth0 > veth1",
    ]


def test_the_same_words_on_another_path_are_not_folded() -> None:
    act = record([packet(ASK, "host/veth0"), packet(ASK, "host/veth1")])
    assert told(act).count("who-has") == 2


@pytest.mark.parametrize(
    ("interfaces", "name", "short"),
    [
        (["host/lo", "host/veth0"], "host/veth0", "veth0"),
        (["host/lo", "host/veth0"], "host/lo", "lo"),
        (["a/lo", "b/lo", "a/eth0", "b/eth1"], "a/lo", "a/lo"),
        (["a/lo", "b/lo", "a/eth0", "b/eth1"], "b/eth1", "eth1"),
        (["a/eth0", "b/eth0", "b/eth1"], "b/eth1", "eth1"),
        (["a/eth0", "b/eth0", "b/eth1"], "b/eth0", "b/eth0"),
    ],
)
def test_short_names(interfaces: list[str], name: str, short: str) -> None:
    assert transcript.names(record([], capture=Captured(interfaces=interfaces)))[name] == short


def test_names_in_questions_and_answers_are_shortened_but_nothing_else_is() -> None:
    act = record([], [Observation("routes of host/veth0", "", "10.0.0.0/24 dev host/veth0 and/or")])
    assert "? routes of veth0: 10.0.0.0/24 dev veth0 and/or" in told(act)


def test_paths_in_answers_are_written_as_those_of_packets() -> None:
    path = ["a/eth0", "sw/p1", "b/eth0"]
    act = record(
        [packet(ASK, *path)],
        [Observation("path", path, "eth0 > p1 > eth0"), Observation("paths", [path, path[:2]], "eth0 > p1; x")],
    )
    assert "? path: a/eth0 > p1 > b/eth0\n" in told(act)
    assert "? paths: a/eth0 > p1 > b/eth0; a/eth0 > p1\n" in told(act)


def test_an_answer_of_several_lines_and_one_that_is_too_long() -> None:
    act = record([], [Observation("routes", [], "one\ntwo"), Observation("q" * 60, "", "a" * 30)])
    assert told(act).splitlines()[2:7] == [
        "    ? routes: one",
        "        two",
        "    ? " + "q" * 60,
        "        " + "a" * 30,
        "",
    ]


def test_failure_skip_and_loss_say_why() -> None:
    assert told(record([], status="failed", reason="short"), detail="lab.py:3: long\n  more").splitlines()[-3:] == [
        "  failed  0.031 s",
        "    lab.py:3: long",
        "      more",
    ]
    assert told(record([], status="skipped", reason="nft is not installed\n  apt")).splitlines()[-2:] == [
        "    nft is not installed",
        "      apt",
    ]
    lost = record([], status="inconclusive", reason="2 frames lost on host", capture=Captured(dropped=2))
    assert told(lost, detail="E   Inconclusive").splitlines()[-2:] == ["    2 frames lost", "    2 frames lost on host"]


def test_roles_say_what_each_part_is() -> None:
    lines = transcript.act(record([packet(TELL, "host/veth0")], [Observation("q", 1, "a")]))
    roles = {span.role for line in lines for span in line}
    assert {"name", "packet", "path", "question", "answer", "passed"} <= roles


WORDS = st.lists(st.sampled_from(["ARP", "who-has", "10.0.0.1", "VXLAN, vni 1 / IP"]), min_size=1, max_size=12)
PATH = st.lists(st.sampled_from(HOST), max_size=8)


@given(st.lists(st.tuples(WORDS, PATH), max_size=6), st.integers(60, 140))
def test_nothing_is_lost_and_lines_keep_to_the_width(rows: list[tuple[list[str], list[str]]], width: int) -> None:
    act = record([packet(" ".join(words), *path) for words, path in rows])
    lines = told(act, width=width).splitlines()
    text = " ".join(" ".join(lines).split())
    for words, path in rows:
        assert all(word in text for word in words)
        assert " > ".join(name.partition("/")[2] for name in path) in text
    unbreakable = max((len(part) for words, _ in rows for part in " ".join(words).split(" / ")), default=0)
    assert all(len(line) <= max(width, unbreakable + 10) for line in lines)


def test_a_flood_says_how_many_frames_it_leaves_out() -> None:
    assert "(181,000 more frames; the capture has them all)" in told(
        record([packet(ASK, "host/veth0")], untold=181_000)
    )
    assert "more frames" not in told(record([packet(ASK, "host/veth0")]))
