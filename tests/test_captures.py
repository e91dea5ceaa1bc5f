"""captures/ as committed: current, and what tshark opens without a warning or a malformed frame."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pktlab import gallery, labfile
from pktlab.errors import MachineError
from pktlab.frames import pcapng, retold
from pktlab.frames.likeness import differences
from pktlab.kernel.program import program

CAPTURES = Path(__file__).parents[1] / "captures"
FILES = sorted(CAPTURES.glob("*/*.pcapng"))
# Labs and acts whose packets go other ways in each run.
DRAWN = {
    "dns_is_a_service_too": "which of two servers a query goes to",
    "felix_makes_routes_of_endpoints/without_felix": "whether felix asks once more for etcd, which has ended",
    "flannel_leases_subnets_in_etcd": "which subnet flanneld takes",
    "service_chooses_once_for_a_connection": "which pod a connection goes to",
}


def tshark(*words: str) -> str:
    try:
        path = program("tshark")
    except MachineError as error:
        pytest.skip(str(error))
    done = subprocess.run([path, *words], capture_output=True, text=True, timeout=60, check=True)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    assert complaints == []
    return done.stdout


def test_every_act_has_its_file() -> None:
    acts = {(lab.name, act.name.removeprefix("test_")) for lab in labfile.discover() for act in lab.acts}
    files = {(file.parent.name, file.stem) for file in FILES}
    missing = [act for act in acts if not any(f[0] == act[0] and f[1].startswith(act[1]) for f in files)]
    assert missing == []


def test_no_capture_tells_of_the_machine_that_made_it() -> None:
    assert [str(file) for file in FILES if b"/.venv/" in file.read_bytes()] == []


def test_the_index_is_current() -> None:
    assert (CAPTURES / gallery.NAME).read_text() == gallery.page(CAPTURES)


def test_they_are_current(whole_run: tuple[dict[str, Any], Path]) -> None:
    """Every packet goes today as the captures show it; if not, run the lab with --captures captures, and look."""
    found, fresh = whole_run
    # What an ordinary user may not do is skipped, and its capture has what came before.
    ran = [act for lab in found["labs"] for act in lab["acts"] if act["status"] == "passed"]
    acts = [Path(act["capture"]["file"]) for act in ran]
    assert len(acts) > 200
    wrong = []
    for act in acts:
        committed = CAPTURES / act.relative_to(fresh)
        if not committed.exists():
            wrong.append(f"{committed}: missing")
        elif DRAWN.keys().isdisjoint((act.parent.name, f"{act.parent.name}/{act.stem}")):
            different = differences(retold.read(committed), retold.read(act))
            wrong += [f"{committed}: {each.packet}: - {each.a} + {each.b}" for each in different]
    assert wrong == []
    assert {name.partition("/")[0] for name in DRAWN} <= {lab.name for lab in labfile.discover()}


@pytest.mark.parametrize("lab", sorted({file.parent for file in FILES}), ids=lambda path: path.name)
def test_tshark_opens_them(lab: Path) -> None:
    for file in sorted(lab.glob("*.pcapng")):
        with file.open("rb") as opened:
            frames = pcapng.read(opened).frames
        fields = ("frame.number", "frame.interface_name", "frame.packet_id", "frame.comment", "_ws.malformed")
        # A segment that several interfaces saw would pass for a retransmission, and its halves for overlapping data.
        words = ["-o", "tcp.desegment_tcp_streams:FALSE", "-r", str(file), "-d", "udp.port==4789,vxlan", "-T", "fields"]
        for field in fields:
            words += ["-e", field]
        rows = [line.split("\t") for line in tshark(*words).splitlines()]
        assert len(rows) == len(frames), file.name
        for row, frame in zip(rows, frames, strict=True):
            _number, interface, packet, comment, malformed = row
            assert (interface, packet, malformed) == (str(frame.interface), str(frame.packet), ""), file.name
            assert "hop" in comment, file.name
