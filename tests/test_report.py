"""The JSON of a run has the shape that its version 1 fixes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pktlab.act import ActRecord, Captured, Observation, Packet
from pktlab.report import LabResult, as_json

# The shape, with the kind of each value; a list of one item stands for any number of them.
SHAPE = {
    "version": int,
    "labs": [
        {
            "name": str,
            "title": str,
            "status": str,
            "seconds": float,
            "acts": [
                {
                    "name": str,
                    "title": str,
                    "status": str,
                    "seconds": float,
                    "reason": str,
                    "capture": {"file": str, "frames": int, "dropped": int, "interfaces": [str], "proof": dict},
                    "log": str,
                    "observations": [{"question": str, "answer": object}],
                    "claims": [{"id": str, "verdict": str}],
                }
            ],
        }
    ],
}


def conform(value: Any, shape: Any, where: str = "") -> None:
    """Fail unless `value` has exactly the keys and kinds of `shape`."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert list(value) == list(shape), where
        for key in shape:
            conform(value[key], shape[key], f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            conform(item, shape[0], f"{where}[{number}]")
    else:
        assert isinstance(value, shape), where
        assert not (shape is int and isinstance(value, bool)), where


def record(status: str = "passed", **fields: Any) -> ActRecord:
    return ActRecord(
        lab="lab",
        name="test_a",
        title="It holds.",
        status=status,
        seconds=0.12345678,
        capture=Captured("c/lab/a.pcapng", 5, 0, ["host/veth0", "host/br0"]),
        observations=[Observation("path of ARP", ["host/veth0", "host/br0"], "veth0 > br0")],
        claims=[{"id": "a", "verdict": "depends", "on": "rp_filter"}],
        packets=[Packet(1, 0.0, "ARP", ["host/veth0"], [1])],
        story=[("packet", 0)],
        **fields,
    )


def test_shape() -> None:
    data = as_json([LabResult("lab", "Title.", [record(), record("failed", reason="why")]), LabResult("empty")])
    conform(json.loads(json.dumps(data)), SHAPE)


def test_shape_test_can_fail() -> None:
    data = as_json([LabResult("lab", "Title.", [record()])])
    data["labs"][0]["acts"][0]["more"] = 1
    with pytest.raises(AssertionError):
        conform(data, SHAPE)


def test_values() -> None:
    (lab,) = as_json([LabResult("lab", "Title.", [record(), record()])])["labs"]
    assert (lab["name"], lab["title"], lab["status"], lab["seconds"]) == ("lab", "Title.", "passed", 0.246914)
    act = lab["acts"][0]
    assert act["seconds"] == 0.123457
    assert act["observations"] == [{"question": "path of ARP", "answer": ["host/veth0", "host/br0"]}]
    assert act["claims"] == [{"id": "a", "verdict": "depends"}]


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "skipped"], "passed"),
        (["skipped", "skipped"], "skipped"),
        (["passed", "inconclusive", "skipped"], "inconclusive"),
        (["inconclusive", "failed", "passed"], "failed"),
        ([], "skipped"),
    ],
)
def test_a_lab_is_as_good_as_its_worst_act(statuses: list[str], worst: str) -> None:
    assert LabResult("lab", acts=[record(status) for status in statuses]).status == worst


def test_a_lab_that_could_not_be_run_failed() -> None:
    assert LabResult("lab", fault="no import").status == "failed"
