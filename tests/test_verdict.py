"""Verdicts with their evidence: which frames of which capture, what a claim nobody can decide says, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import pktlab_command
from hypothesis import given
from hypothesis import strategies as st

from pktlab import claimbook, claims, labfile, verdict
from pktlab.act import ActRecord, Captured, Observation
from pktlab.claims import Citation, Claim
from pktlab.evidence import Evidence, of_act, ranges
from pktlab.report import LabResult

ROOT = Path(__file__).parents[1]
CLAIM = Claim("a", "arp", "One | two <b> & c.", ("x.txt § 1",), really="Three.")


def act(name: str, *frames: list[int], status: str = "passed", reason: str = "") -> ActRecord:
    asked = [Observation("path of ARP", [], "", numbers) for numbers in frames]
    captured = Captured(file=f"captures/lab/{name}.pcapng")
    return ActRecord("lab", name, status=status, reason=reason, capture=captured, observations=asked)


def judged(*acts: ActRecord, word: str = "confirmed", claim: Claim = CLAIM) -> verdict.Verdict:
    cited = [Citation("a", word, "lab", "test_a", "x" if word == "depends" else "")]
    (found,) = verdict.proved([claim], cited, [LabResult("lab", "", list(acts))])
    return found


def test_the_frames_that_an_act_asked_about_are_its_evidence() -> None:
    found = judged(act("test_a[1]", [3, 4], [], [4, 9]), act("test_a[2]"), act("test_b", [1]))
    assert found.evidence == (
        Evidence("captures/lab/test_a[1].pcapng", "3-4, 9"),
        Evidence("captures/lab/test_a[2].pcapng", ""),
    )
    assert [each.words for each in found.evidence] == ["frames 3-4, 9", "no frames: the kernel's tables"]
    assert Evidence("x", "7").words == "frame 7"


@pytest.mark.parametrize(("word", "really"), [("confirmed", ""), ("refuted", "Three."), ("depends", "Three.")])
def test_what_really_happens_is_said_where_the_claim_is_not_right(word: str, really: str) -> None:
    assert judged(act("test_a"), word=word).as_json()["really"] == really


def test_what_this_machine_cannot_decide_names_what_it_lacks() -> None:
    skipped = act("test_a", status="skipped", reason="this kernel has no CONFIG_NET_VRF")
    found = judged(skipped)
    assert (found.verdict, found.reason) == ("undecidable", "not on this machine: this kernel has no CONFIG_NET_VRF")
    assert found.evidence == ()
    # An act that failed, or that is expected to, says more than one that could not run.
    assert judged(skipped, act("test_a[2]", status="failed", reason="no")).verdict == "open"
    assert judged(act("test_a", status="skipped", reason="expected to fail: not yet")).verdict == "open"


def test_another_act_can_decide_what_a_skipped_one_could_not() -> None:
    cited = [Citation("a", "confirmed", "lab", "test_a"), Citation("a", "confirmed", "lab", "test_b")]
    acts = [act("test_a", status="skipped", reason="no nft"), act("test_b")]
    (found,) = verdict.proved([CLAIM], cited, [LabResult("lab", "", acts)])
    assert (found.verdict, found.act) == ("confirmed", "test_b")


def test_what_no_packet_can_decide_says_why() -> None:
    claim = Claim("a", "arp", "Nice.", ("x.txt",), undecidable="a matter of taste")
    assert verdict.declared([claim], []) == verdict.proved([claim], [], [])
    (found,) = verdict.declared([claim], [])
    assert (found.verdict, found.reason) == ("undecidable", "a matter of taste")


@given(st.sets(st.integers(1, 60)))
def test_ranges_are_the_numbers(numbers: set[int]) -> None:
    text = ranges(sorted(numbers))
    read: list[int] = []
    for part in filter(None, text.split(", ")):
        first, _, last = part.partition("-")
        read += range(int(first), int(last or first) + 1)
    assert read == sorted(numbers)
    # No two of them could be one.
    assert len(text.split(", ")) == max(1, len(numbers - {number + 1 for number in numbers}))


def test_the_page_has_a_table_a_topic() -> None:
    found = [
        judged(act("test_a", [1, 2]), word="refuted"),
        verdict.Verdict(Claim("b", "ip", "Yes.", ("y.txt",)), reason="the act did not run"),
    ]
    text = claimbook.page(found)
    assert "2 claims: 1 refuted, 1 open." in text
    assert "## arp\n\n1 claim: 1 refuted.\n" in text
    assert (
        "| `a`<br>One \\| two &lt;b> &amp; c.<br>x.txt § 1 | **refuted**<br>Three. "
        "| [lab](../labs/lab.py): test_a<br>[test_a.pcapng](../captures/lab/test_a.pcapng): frames 1-2 |\n"
    ) in text
    assert text.endswith("| `b`<br>Yes.<br>y.txt | **open**<br>the act did not run |  |\n")


LAB = '''"""Two hosts."""
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms

topology = Topology()
host, far = topology.namespace("host"), topology.namespace("far")
veth0, veth1 = host.veth("veth0", "veth1", netns=far)
veth0.address("10.0.0.1/24")
veth1.address("10.0.0.2/24")


@confirms("netns-new-only-lo")
def test_asks(net: Network) -> None:
    """A question and its answer, of a ping that is none of the evidence."""
    net.ping("10.0.0.9", dev=veth0)
    net.recording.forget(0)
    with net.capture() as seen:
        net.ping("10.0.0.2", dev=veth0)
        net.recording.forget(0)
    assert seen.path(ARP(op="is-at")) == [veth1, veth0]
'''


def test_a_capture_says_which_frames_were_asked_about(tmp_path: Path) -> None:
    (tmp_path / "two_hosts.py").write_text(LAB)
    said = pktlab_command("run", "two_hosts.py", "--captures", "kept", cwd=tmp_path)
    assert said.status == 0, said
    (found,) = of_act(tmp_path / "kept", "two_hosts", "test_asks")
    assert found.capture.endswith("kept/two_hosts/asks.pcapng")
    # Each question, two sightings: the unanswered one and the one that veth1 answers; then the answer's.
    from pktlab.frames import pcapng

    with open(found.capture, "rb") as file:
        frames = pcapng.read(file).frames
    first, last = map(int, found.frames.split("-"))
    assert [(str(each.interface), each.data[20:22]) for each in frames[first - 1 : last]] == [
        ("far/veth1", b"\0\2"),
        ("host/veth0", b"\0\2"),
    ]


def test_the_command_shows_evidence(tmp_path: Path) -> None:
    said = pktlab_command("claims", "--declared", "--json", "--captures", ROOT / "captures", cwd=tmp_path)
    assert said.status == 0, said
    found = json.loads(said.out)["claims"]
    decided = [each for each in found if each["verdict"] in ("confirmed", "refuted", "depends")]
    assert decided
    assert [each["id"] for each in decided if not each["evidence"]] == []
    assert [each["id"] for each in found if each["verdict"] == "refuted" and not each["really"]] == []
    assert [each["id"] for each in found if each["verdict"] == "undecidable" and not each["reason"]] == []


def test_the_page_of_claims_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    known, cited = claims.load(), claims.citations(labfile.discover())
    expected = claimbook.page(verdict.declared(known, cited, Path("captures")))
    # Renew it: pktlab run --all, then pktlab claims --markdown
    assert claimbook.PAGE.read_text(encoding="utf-8") == expected


def test_a_source_is_said_to_be_no_file_of_the_repository(tmp_path: Path) -> None:
    said = pktlab_command("claims", "--declared", "--captures", ROOT / "captures", cwd=tmp_path)
    assert said.status == 0, said
    assert "not part of the repository" in " ".join(said.out.split("\n\n")[0].split())
    assert "not\npart of the repository" in claimbook.page([])


def test_the_page_is_written_where_the_command_is_called(tmp_path: Path) -> None:
    said = pktlab_command("claims", "--markdown", "--captures", ROOT / "captures", cwd=tmp_path)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("docs/claims.md: ")
    assert (tmp_path / "docs/claims.md").read_text(encoding="utf-8").startswith("# Claims\n")
    said = pktlab_command("claims", "--markdown", "--json", cwd=tmp_path)
    assert (said.status, said.out) == (2, "")


def test_many_ranges_are_shortened_in_the_page_alone() -> None:
    many = Evidence("a.pcapng", "1-3, 7, 9-10, 12")
    assert many.shortened(4) == many.words == "frames 1-3, 7, 9-10, 12"
    assert many.shortened(2) == "frames 1-3, 7, … (7 frames)"
    assert Evidence("a.pcapng", "").shortened(2) == "no frames: the kernel's tables"
