"""Reports: what a ladder shows, what a page escapes, and what a real browser makes of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from browser import Browser, browser
from commandline import Said, pktlab_command, write_lab
from crafted import IP, UDP, ether, interface, ip, is_at, sightings, vxlan, who_has
from hypothesis import given, settings
from hypothesis import strategies as st

from pktlab import Topology
from pktlab.act import ActRecord, Captured, Observation
from pktlab.catalogue import files, texts
from pktlab.claims import Claim
from pktlab.cli import report
from pktlab.drawing.order import order, peers
from pktlab.drawing.plan import plan
from pktlab.frame import IN, OUT, Frame
from pktlab.frames import pcapng, telling
from pktlab.frames.explain import explained
from pktlab.frames.journey import follow
from pktlab.html import lane
from pktlab.html.ladder import PACKETS, QUESTIONS, SIGHTINGS, Asked, Gap, Hop, Ladder, ladder
from pktlab.html.page import ActPage, LabPage, Made, index_page, lab_page
from pktlab.interface import Interface
from pktlab.labfile import LabFile, find
from pktlab.report import LabResult
from pktlab.verdict import Verdict

WIRES = (("a/eth0", "sw/p1"), ("b/eth0", "sw/p2"), ("c/eth0", "sw/p3"))
PEERS = {interface(one): interface(other) for pair in WIRES for one, other in (pair, pair[::-1])}
LAB = "bridge_swallows_arp_reply"
EVIL = "</pre></script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
MADE = Made("0", "6", "today")
MINIMAL = LabFile(Path("a_lab.py"), "a_lab", "A lab.", "", "", [], [])


def recorded(frames: list[Frame], *observations: Observation) -> ActRecord:
    """The record of an act that saw these frames, and then asked these questions."""
    journeys = follow(frames)
    return ActRecord(
        "a_lab",
        "test_it",
        "It happens.",
        "passed",
        packets=telling.packets(journeys, frames[0].time if frames else 0),
        observations=list(observations),
        story=telling.story(journeys, [len(frames)] * len(observations)),
    )


def built(frames: list[Frame], *observations: Observation, across: tuple[str, ...] = ()) -> Ladder:
    """The ladder of an act that saw these frames."""
    return ladder(recorded(frames, *observations), frames, order=[interface(each) for each in across], peers=PEERS)


def shape(hops: tuple[Hop, ...]) -> list[tuple[str, int | None, bool]]:
    return [(str(hop.frame.interface), hop.origin, hop.last) for hop in hops]


def written(found: Ladder, **more: object) -> str:
    """The page of a lab with one act."""
    record = ActRecord("a_lab", "test_it", "It happens.", "passed")
    page = LabPage(MINIMAL, "passed", "A lab.", acts=[replace(ActPage(record, found), **more)])  # type: ignore[arg-type]
    return lab_page(page, dissect=explained, made=MADE)


def test_a_packet_goes_from_one_interface_to_the_next() -> None:
    found = built(
        sightings(
            ("a/eth0", OUT, who_has()),
            ("sw/p1", IN, who_has()),
            ("sw/p2", OUT, who_has()),
            ("sw/p3", OUT, who_has()),
            ("sw/br0", IN, who_has(), 2000),
            ("c/eth0", IN, who_has()),
            ("b/eth0", IN, who_has()),
        ),
        across=("a/eth0", "sw/p1", "sw/br0", "sw/p2", "sw/p3", "b/eth0", "c/eth0"),
    )
    assert shape(found.lanes[0].hops) == [
        ("a/eth0", None, False),
        ("sw/p1", 0, False),
        ("sw/p2", 1, False),
        ("sw/p3", 1, False),
        ("sw/br0", 1, True),
        ("c/eth0", 3, True),
        ("b/eth0", 2, True),
    ]
    assert [str(each) for each in found.columns] == [
        *("a/eth0", "sw/p1", "sw/br0", "sw/p2", "sw/p3", "b/eth0", "c/eth0"),
    ]


def test_columns_go_as_the_picture_does() -> None:
    topology = Topology()
    a, sw, b = (topology.namespace(name) for name in ("a", "sw", "b"))
    left, right = a.veth("eth0", "p1", netns=sw)[1], b.veth("eth0", "p2", netns=sw)[1]
    sw.bridge("br0", ports=[left, right])
    planned = plan(topology)
    assert [str(each) for each in order(planned)] == ["a/eth0", "sw/p1", "sw/br0", "sw/p2", "b/eth0"]
    assert peers(planned)[left] == interface("a/eth0")


def test_what_nobody_declared_stands_behind_what_it_came_from() -> None:
    frames = sightings(("a/eth0", OUT, who_has()), ("sw/p1", IN, who_has()), ("sw/new", OUT, who_has()))
    frames += sightings(("d/new", IN, who_has()))
    frames[-1].number = 4
    found = built(frames, across=("a/eth0", "sw/p1", "sw/p2"))
    assert [str(each) for each in found.columns] == ["a/eth0", "sw/p1", "sw/new", "d/new"]
    assert shape(found.lanes[0].hops)[2:] == [("sw/new", 1, False), ("d/new", 2, True)]


def test_a_wire_that_was_moved() -> None:
    """Its end has another name than the declared one, which no packet passes."""
    seen = sightings(("a/eth0", OUT, who_has()), ("b/p1", IN, who_has()))
    assert shape(built(seen).lanes[0].hops) == [("a/eth0", None, False), ("b/p1", 0, True)]


def test_through_a_program() -> None:
    """Out of a tun it comes into another as a program wrote it: no wire leads there, but it does not stop."""
    sent, came = (ip(ttl=ttl, id=7) / UDP(sport=1, dport=2) / b"x" for ttl in (63, 61))
    found = built(sightings(("n1/tun0", OUT, ether() / sent), ("n2/tun0", IN, ether() / came)))
    [only] = found.lanes
    assert shape(only.hops) == [("n1/tun0", None, False), ("n2/tun0", 0, True)]
    assert [hop.unseen for hop in only.hops] == [False, True]
    assert "arrow unseen" in lane.lane(only, lane.columns(found.columns))


def test_two_ports_have_it_from_somebody_else() -> None:
    """In a storm a copy may be taken for another packet's; then nothing is drawn rather than something wrong."""
    frames = sightings(("sw/p1", OUT, who_has()), ("sw/p2", OUT, who_has()), ("b/eth0", IN, who_has()))
    for kind, origin in (("veth", None), ("", 0)):
        for frame in frames:
            frame.interface = Interface(frame.interface.netns, frame.interface.name, kind=kind)
        assert [hop.origin for hop in built(frames).lanes[0].hops] == [None, origin, 1]


def test_rewritten_fields_are_on_the_hop_where_they_changed() -> None:
    before = ether() / ip(ttl=64, id=7) / UDP(sport=1, dport=2) / b"x"
    after = ether("02:00:00:00:00:03", "02:00:00:00:00:04") / ip(ttl=63, id=7) / UDP(sport=1, dport=2) / b"x"
    found = built(
        sightings(
            ("r/in", IN, before), ("r/out", OUT, after), ("r/vx", OUT, vxlan(after)), ("z/eth0", IN, vxlan(after))
        )
    )
    hops = found.lanes[0].hops
    assert [dict(hop.changes).get("ip.ttl") for hop in hops] == [None, (64, 63), None, None]
    assert [dict(hop.changes).get("vxlan.vni") for hop in hops] == [None, None, (None, 42), None]
    drawn = lane.lane(found.lanes[0], lane.columns(found.columns))
    assert "ip.ttl 64 \N{RIGHTWARDS ARROW} 63" in drawn
    assert drawn.count("arrow changed tip") == 2
    assert drawn.count("stop in") == 1


def test_what_is_written_beside_a_hop_meets_no_arrow() -> None:
    """A packet comes from the right, is rewritten and goes back to the right: what changed stands to the left."""
    before = ether() / ip(ttl=64, id=7) / UDP(sport=1, dport=2) / b"x"
    after = ether("02:00:00:00:00:03", "02:00:00:00:00:04") / ip(ttl=63, id=7) / UDP(sport=1, dport=2) / b"x"
    seen = sightings(("r/in", IN, before), ("r/br", OUT, after), ("r/out", OUT, after))
    found = built(seen, across=("r/br", "r/in", "r/out"))
    for lanes_known, side in ((found.lanes, "end"), ((), "begin")):
        places = lane.columns(found.columns, lanes_known)
        drawn = ElementTree.fromstring(lane.lane(found.lanes[0], places))
        notes = [each for each in drawn.iter("text") if each.get("class", "").startswith("change")]
        assert {each.get("class") for each in notes} == {f"change {side}"}
        assert all(0 < float(each.get("x", "")) < places.width for each in notes)


def test_the_same_again_is_one_lane() -> None:
    frames = sightings(*(("a/eth0", OUT, who_has()) for _ in range(5)), ("a/eth0", IN, is_at()))
    assert [(each.times, each.words.split()[1]) for each in built(frames).lanes] == [(5, "Request"), (1, "Reply")]


def test_a_flood_is_bounded_and_says_so() -> None:
    floods = [("a/eth0", OUT, ether() / IP(src="10.0.0.1", dst="10.0.0.2", id=n) / UDP(sport=n)) for n in range(1, 500)]
    record = recorded(sightings(*floods))
    record.observations = [Observation("how many", 499, "499", frames=[450])]
    record.story += [("observation", 0)] * (QUESTIONS + 7)
    record.untold = 12_345
    found = ladder(record, sightings(*floods), peers=PEERS)
    shown = [each.packet.number for each in found.lanes]
    assert shown == [*range(1, PACKETS), 450]
    gaps = [event for event in found.events if isinstance(event, Gap)]
    assert gaps == [Gap(410), Gap(49), Gap(0, 7)]
    assert sum(isinstance(event, Asked) for event in found.events) == QUESTIONS
    page = written(found)
    assert "410 packets left out here" in page
    assert "7 questions left out here" in page
    assert "12345 more frames" in page


def test_a_packet_that_everybody_saw_is_bounded() -> None:
    ports = [(f"sw/q{number}", OUT, who_has()) for number in range(100)]
    found = built(sightings(("sw/p1", IN, who_has()), *ports))
    [only] = found.lanes
    assert (len(only.hops), only.hidden) == (SIGHTINGS, 101 - SIGHTINGS)
    # Whether a copy stops cannot be told where the rest is not shown.
    assert not any(hop.last for hop in only.hops)
    assert f"{101 - SIGHTINGS} more sightings of this packet left out" in written(found)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a/eth0", "sw/p1", "sw/p2", "sw/p3", "b/eth0", "c/eth0", "sw/br0", "x/new"]),
            st.sampled_from([IN, OUT]),
            st.sampled_from([who_has(), is_at(), vxlan(who_has()), b"", b"odd"]),
            st.integers(0, 3),
        ),
        max_size=40,
    )
)
def test_any_frames_make_a_ladder(seen: list[tuple[str, str, bytes, int]]) -> None:
    frames = sightings(*seen)
    found = built(frames)
    assert sum(len(each.hops) * each.times for each in found.lanes) == len(frames)
    assert set(found.columns) == {frame.interface for frame in frames}
    for each in found.lanes:
        assert all(hop.origin is None or hop.origin < at for at, hop in enumerate(each.hops))
        assert each.hops[0].origin is None
        assert any(hop.last for hop in each.hops)
        lane.lane(each, lane.columns(found.columns))


def evil() -> tuple[Ladder, ActRecord]:
    """An act in which everything that can be named tries to be part of the page."""
    name = "x/<script>al"
    frames = sightings(
        (name, OUT, ether() / ip(id=7) / UDP(sport=1, dport=2) / EVIL.encode()), (name, IN, b"\x00\x1b[")
    )
    record = recorded(frames, Observation(EVIL, EVIL, EVIL))
    record.title = record.reason = record.lab = EVIL
    record.name, record.status = f"test_{EVIL}", "skipped"
    return ladder(record, frames), record


def test_everything_is_escaped() -> None:
    found, record = evil()
    lab = LabFile(Path("x.py"), EVIL, "", "", EVIL, [], [])
    made = Made(EVIL, EVIL, EVIL, EVIL)
    verdict = Verdict(Claim(EVIL, EVIL, EVIL, (EVIL,)), "confirmed", EVIL, EVIL, EVIL)
    act = ActPage(record, found, [EVIL, f"    {EVIL}"], EVIL, "data:x", 1, [verdict])
    page = LabPage(lab, EVIL, EVIL, [EVIL, f"    {EVIL}"], EVIL, "<svg/>", [EVIL], [act])
    for text in (
        lab_page(page, dissect=explained, made=made),
        index_page([page, page], [verdict], made=made),
        lab_page(
            replace(page, acts=[replace(act, record=replace(record, status="failed"))]), dissect=explained, made=made
        ),
    ):
        assert text.count("<script") == 1, re.findall(r".{40}<script.{20}", text)
        assert "<img" not in text
        assert "&lt;script&gt;" in text
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
        assert policy
        assert policy[1].startswith("default-src &#39;none&#39;;")


def test_a_large_capture_lies_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_EMBEDDED", 100)
    capture = Path(__file__).parents[1] / "captures/bridge_swallows_arp_reply/address_on_the_port.pcapng"
    record = ActRecord("bridge_swallows_arp_reply", "test_address_on_the_port", "", "passed")
    record.capture = Captured(str(capture))
    labs = find(["bridge_swallows_arp_reply"])
    report._Writer(tmp_path, labs, {}, {}, "en").write([LabResult(labs[0].name, acts=[record])])
    page = (tmp_path / "bridge_swallows_arp_reply.html").read_text()
    link = re.search(r'href="([^"]*)" download="bridge_swallows_arp_reply.address_on_the_port.pcapng"', page)
    assert link
    assert (tmp_path / link[1]).read_bytes() == capture.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_capture_that_could_not_be_written(tmp_path: Path) -> None:
    record = ActRecord(LAB, "test_address_on_the_port", "", "failed", reason="write x.pcapng: No space left on device")
    record.capture = Captured("x.pcapng", frames=7)
    report._Writer(tmp_path, find([LAB]), {}, {}, "en").write([LabResult(LAB, acts=[record])])
    assert "download=" not in (tmp_path / f"{LAB}.html").read_text()


def test_a_page_in_chinese(tmp_path: Path) -> None:
    said = pktlab_command("report", LAB, "-k", "no_bridge", "--lang", "zh", "-o", "out", cwd=tmp_path)
    if said.status == 3:
        pytest.skip(said.err)
    page = (tmp_path / f"out/{LAB}.html").read_text()
    assert '<html lang="zh">' in page
    for words in ("网桥吞掉了 ARP 应答。", "拓扑", "通过", " 帧", ">止于此<", "发出"):
        assert words in page, words
    own = {text.key for text in texts.of_report()} - {"lab", "act", "acts", "in", "open", "sent", "claim", "time"}
    shown = set(re.findall(r">\s*([A-Z][^<>]*?)\s*<", page))
    assert own & shown == set()
    assert pktlab_command("report", LAB, "--lang", "xx", cwd=tmp_path).status == 2


def test_a_translation_keeps_the_fields() -> None:
    """Else a page could not be made at all."""
    [domain] = [each for each in files.domains() if each.name == files.REPORT]
    assert list(files.faults(domain, "zh")) == []


def test_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said = pktlab_command("report", "veth_is_a_cable", "-o", "taken", cwd=tmp_path)
    assert said.status == 2
    assert "cannot write taken" in said.err
    assert pktlab_command("report", cwd=tmp_path).status == 2


def test_what_failed_is_told(tmp_path: Path) -> None:
    write_lab(tmp_path, "def test_fails():\n    assert [1, '<b>'] == [1, 3]\n\ndef test_passes(): pass\n")
    said = pktlab_command("report", "./a_lab.py", "-o", "out", cwd=tmp_path)
    assert (said.status, said.out, said.err) == (1, "out/a_lab.html  1 failed, 1 passed\n", "")
    page = (tmp_path / "out/a_lab.html").read_text()
    assert "a_lab.py:6: assert [1, &#39;&lt;b&gt;&#39;] == [1, 3]" in page
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a_lab.html"]


def test_what_failed_leads_nowhere_outside_the_page(tmp_path: Path) -> None:
    """The captures and logs of the run are gone with it."""
    act = """
def test_it(net):
    net.start(host, ["sh", "-c", "echo said by a program; exec cat"], ready="said by")
    with net.capture() as seen:
        net.ping("192.168.3.102", dev=veth0)
    assert seen.path(reply) == []
"""
    lab = find([LAB])[0].path.read_text().partition("\n\n\n")[0] + "\n\n" + act
    (tmp_path / "wrong.py").write_text(lab)
    said = pktlab_command("report", "./wrong.py", "-o", "out", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    if said.status == 3:
        pytest.skip(said.err)
    assert said.status == 1
    page = (tmp_path / "out/wrong.html").read_text()
    assert "wrong/it.pcapng: frames" in page
    assert str(tmp_path) not in page
    assert "What its programs wrote" in page
    assert "said by a program" in page


def test_a_lab_that_cannot_be_run(tmp_path: Path) -> None:
    write_lab(tmp_path, "import nothing_of_that_name\n\ndef test_it(): pass\n")
    said = pktlab_command("report", "./a_lab.py", "-o", "out", cwd=tmp_path)
    assert said.status == 2
    assert "This lab could not be run" in (tmp_path / "out/a_lab.html").read_text()


# In a browser.

PAYLOAD = f'''"""Whoever sends a page."""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab import Network, Topology

topology = Topology()
a, b = topology.namespace("a"), topology.namespace("b")
one, other = a.veth("<i>one", "other&amp;", netns=b)
one.address("10.0.0.1/24")

PAYLOAD = {EVIL!r}


def test_payload(net: Network) -> None:
    """<script>document.title = "owned"</script>"""
    frame = Ether(src=one.mac, dst=other.mac) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=9) / PAYLOAD
    with net.capture() as seen:
        net.send(frame, dev=one)
    assert seen.path(UDP() / Raw(PAYLOAD.encode())) == [one, other]
'''


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """Reports of a lab of ours and of one with a hostile payload, and what the command said."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "payload.py").write_text(PAYLOAD)
    said = pktlab_command("report", LAB, "./payload.py", "vxlan_wraps_the_frame", "-j", "2", "-o", "out", cwd=folder)
    if said.status == 3:
        pytest.skip(said.err)
    return folder / "out", said


def test_the_command(pages: tuple[Path, Said]) -> None:
    folder, said = pages
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "out/index.html"
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [f"{LAB}.html", "index.html", "payload.html", "vxlan_wraps_the_frame.html"]
    )


@pytest.mark.parametrize("name", [LAB, "payload", "vxlan_wraps_the_frame", "index"])
@pytest.mark.parametrize("width", [390, 1280])
def test_opens(name: str, width: int, pages: tuple[Path, Said], chromium: Browser) -> None:
    """No error, no request to anywhere, no script but its own, and nothing beside the edge of a phone."""
    file = pages[0] / f"{name}.html"
    chromium.open(file, width=width, dark=width < 600)
    assert chromium.complaints() == []
    assert chromium.requests() == [file.resolve().as_uri()]
    assert chromium.ask("document.documentElement.scrollWidth <= innerWidth")
    assert chromium.ask("document.scripts.length") == 1
    assert chromium.ask("document.images.length") == 0
    assert chromium.ask("document.title") != "owned"
    # What is wider scrolls in its own box, and a keyboard gets there.
    wide = "[...document.querySelectorAll('.box')].filter(box => box.scrollWidth > box.clientWidth)"
    assert chromium.ask(f"{wide}.every(box => box.tabIndex === 0 && getComputedStyle(box).overflowX === 'auto')")
    if width < 600 and name == "vxlan_wraps_the_frame":
        assert chromium.ask(f"{wide}.some(box => box.classList.contains('ladder'))")


def test_what_the_page_says(pages: tuple[Path, Said], chromium: Browser) -> None:
    chromium.open(pages[0] / f"{LAB}.html")
    text = str(chromium.ask("document.body.innerText"))
    for words in (
        "A bridge swallows the ARP reply.",
        "Story",
        "ARP, Reply 192.168.3.102 is-at 02:00:00:01:00:02",
        "enslaved-ping-veth0-fails",
        "192.168.3.102 - FAILED",
    ):
        assert words in text
    first = "document.querySelector('#act-1 .ladder')"
    assert chromium.ask(f"[...{first}.querySelectorAll('.heads .name')].map(name => name.textContent).join()") == (
        "br0,veth0,veth1,lo"
    )
    # The reply: from veth1 to veth0, and on br0 it stops.
    marks = "[...document.querySelectorAll('#act-1-packet-2 svg g > title')].map(title => title.textContent)"
    assert chromium.ask(marks) == [
        "frame 3: host/veth1 out, 42 bytes",
        "frame 4: host/veth0 in, 42 bytes",
        "frame 5: host/br0 in, 42 bytes, stops here",
    ]
    assert chromium.ask("document.querySelectorAll('#topology svg text.name').length") == 3


def test_a_packet_is_opened_by_keyboard_by_link_and_by_click(pages: tuple[Path, Said], chromium: Browser) -> None:
    chromium.open(pages[0] / f"{LAB}.html")
    details = "document.querySelector('#act-1-packet-2 details')"
    assert chromium.ask(f"{details}.open") is False
    chromium.ask(f"{details}.querySelector('summary').focus()")
    for kind in ("keyDown", "keyUp"):
        chromium.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
        )
    assert chromium.ask(f"{details}.open") is True
    assert "###[ ARP ]###" in str(chromium.ask(f"{details}.innerText"))
    chromium.ask(
        "new Promise(done => { addEventListener('hashchange', done, {once: true}); location.hash = 'act-1-packet-1' })"
    )
    assert chromium.ask("document.querySelector('#act-1-packet-1 details').open") is True
    way = "document.querySelector('#act-1-packet-2 > svg')"
    chromium.ask(f"{way}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    assert chromium.ask(f"{details}.open") is False


def test_the_capture_is_in_the_page(pages: tuple[Path, Said], chromium: Browser) -> None:
    chromium.open(pages[0] / f"{LAB}.html")
    link = str(chromium.ask("document.querySelector('#act-1 a[download]').href"))
    capture = pcapng.read(BytesIO(base64.b64decode(link.partition(",")[2])))
    assert capture.section_comment.startswith(f"{LAB}: ")
    assert len(capture.frames) == 7


def test_a_payload_stays_text(pages: tuple[Path, Said], chromium: Browser) -> None:
    chromium.open(pages[0] / "payload.html")
    chromium.ask("document.querySelectorAll('details').forEach(each => { each.open = true })")
    text = str(chromium.ask("document.body.innerText"))
    assert "<script>document.title='owned'</script>" in text
    assert "<i>one" in text
    assert "other&amp;" in text
    assert chromium.ask("document.querySelectorAll('i, main script').length") == 0
    assert chromium.complaints() == []


def test_claims_lead_to_their_acts(pages: tuple[Path, Said], chromium: Browser) -> None:
    chromium.open(pages[0] / "index.html")
    links = chromium.ask("[...document.querySelectorAll('#claims a')].map(link => link.href)")
    assert len(links) > 10
    for name in ("index", LAB):
        assert "not part of the repository" in (pages[0] / f"{name}.html").read_text()
    for link in links:
        page, _, place = str(link).partition("#")
        assert f'id="{place}"' in Path(unquote(urlsplit(page).path)).read_text()


def test_dark_and_print_have_colours_of_their_own(pages: tuple[Path, Said], chromium: Browser) -> None:
    colours = []
    for dark, media in ((False, ""), (True, ""), (True, "print")):
        chromium.open(pages[0] / f"{LAB}.html", dark=dark, media=media)
        colours.append(
            (
                chromium.ask("getComputedStyle(document.body).backgroundColor"),
                chromium.ask("getComputedStyle(document.querySelector('.pktlab-drawing .name')).fill"),
                chromium.ask("getComputedStyle(document.querySelector('.ladder')).maxHeight"),
            )
        )
    assert colours[0][:2] != colours[1][:2]
    assert colours[2] == ("rgb(255, 255, 255)", "rgb(0, 0, 0)", "none")
