"""The README's gallery: it tells what the captures have, and a new run tells the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from pktlab import labfile, mechanisms
from pktlab.errors import LabError
from pktlab.mechanisms import BEGIN, END, MECHANISMS, Mechanism

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT / "captures"


def test_the_readme_is_current() -> None:
    # Renew it: pktlab claims --markdown
    page = (ROOT / "README.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert mechanisms.renewed(page, CAPTURES) == page


def test_each_line_names_a_lab_and_a_path() -> None:
    labs = {lab.name for lab in labfile.discover()}
    lines = mechanisms.table(CAPTURES).splitlines()[2:]
    assert len(lines) == len(MECHANISMS) == len({each.name for each in MECHANISMS})
    for line, mechanism in zip(lines, MECHANISMS, strict=True):
        assert mechanism.capture.partition("/")[0] in labs
        _, name, packet, path, _ = line.split(" | ".strip())
        assert mechanism.name in name
        assert ".pcapng)" in packet
        assert path.strip(" `").split(" > ")[0], line


def test_what_is_drawn_by_lot_is_left_out() -> None:
    lines = mechanisms.table(CAPTURES)
    assert "veth209de075" not in lines
    assert "| [TCP SYN 192.168.3.102 > 192.168.3.101.8080](" in lines
    assert "`pod/eth0 > veth > node/cni0`" in lines


def test_what_is_outside_the_marks_is_left_alone() -> None:
    assert mechanisms.renewed("a page\n", CAPTURES) == "a page\n"
    page = mechanisms.renewed(f"before\n{BEGIN}old\n{END}after\n", CAPTURES)
    assert page == f"before\n{BEGIN}{mechanisms.table(CAPTURES)}{END}after\n"


@pytest.mark.parametrize(
    ("capture", "packet", "message"),
    [
        ("veth_is_a_cable/no_such_act", "ICMP", r"no_such_act\.pcapng: No such file"),
        ("calico_wraps_nothing/on_the_wire", "SCTP", r"on_the_wire\.pcapng has no packet 'SCTP'"),
    ],
)
def test_what_is_not_there(capture: str, packet: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        mechanisms.table(CAPTURES, (Mechanism("a wormhole", capture, packet),))
