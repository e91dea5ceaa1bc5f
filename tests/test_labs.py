"""The labs themselves: they pass, nothing in them is idle, and what they cite exists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pktlab import claims, labfile
from pktlab.labfile import LabFile

LABS = labfile.discover()
NINE = {
    "bridge_swallows_arp_reply",
    "enslaved_nic_becomes_a_cable",
    "loopback_starts_down",
    "nat_hides_the_source",
    "router_rewrites_macs",
    "switch_learns_hub_floods",
    "two_arp_replies_for_one_question",
    "veth_is_a_cable",
    "vxlan_wraps_the_frame",
}


def pktlab(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pktlab", *words], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def run(whole_run: tuple[dict[str, object], Path]) -> dict[str, object]:
    """One run of all labs, as JSON."""
    return whole_run[0]


def acts(run: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    labs = run["labs"]
    assert isinstance(labs, list)
    for lab in labs:
        for act in lab["acts"]:
            yield lab["name"], act


def test_the_nine_labs_are_there() -> None:
    assert {lab.name for lab in LABS} >= NINE


def test_every_act_passes_in_time(run: dict[str, object]) -> None:
    # An act's own skip is for the machine's sake (a closed /dev/net/tun); conftest sees to packages.
    wrong = [(lab, act["name"], act["reason"]) for lab, act in acts(run) if act["status"] not in ("passed", "skipped")]
    assert wrong == []
    slow = [(lab, act["name"], act["seconds"]) for lab, act in acts(run) if float(str(act["seconds"])) > 2]
    assert slow == []


def test_each_lab_has_three_acts_and_a_drawing() -> None:
    assert [lab.name for lab in LABS if len(lab.acts) < 3] == []
    assert [lab.name for lab in LABS if not lab.drawing] == []


def test_sixty_claims_are_cited_and_all_are_known() -> None:
    known = {claim.id for claim in claims.load()}
    cited = {citation.id for citation in claims.citations(LABS)}
    assert cited - known == set()
    assert len(cited) >= 60


@pytest.mark.ablate
@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_every_setting_and_every_act_counts(lab: LabFile) -> None:
    """Law 7. Each setting is taken away once: some act must break, and of each act some expectation."""
    done = pktlab("ablate", str(lab.path), "--strict", timeout=600)
    told = [line for line in done.stdout.splitlines() if line.startswith(("  idle", "  vacuous", "  failed"))]
    assert (told, done.returncode) == ([], 0), done.stderr
