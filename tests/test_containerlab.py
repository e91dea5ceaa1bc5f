"""A lab for containerlab: the file is one that containerlab takes, and what it says builds the lab's network.

There is no containerlab here, so its part is played: what it does with nodes, links and `exec` (a word list without a
shell, as in its manual) is done in namespaces.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import netstate
import pytest
import yaml
from commandline import pktlab_command
from hypothesis import given
from hypothesis import strategies as st
from test_export import DEADLINE, LABS, ONE, built_by_pktlab, everything, topology_of, written

from pktlab.export import containerlab
from pktlab.export.yaml import comment, item, name
from pktlab.kernel.program import environment
from pktlab.labfile import LabFile
from pktlab.topology import Topology

# What containerlab's schema (schemas/clab.schema.json, draft-07) demands of the properties that are used here, in words
# of our own: that file is not part of this repository. CLAB_SCHEMA names a copy of it, and then both are asked.
_NODE = {
    "type": "object",
    "properties": {
        "kind": {"const": "linux"},
        "image": {"type": "string"},
        "network-mode": {"const": "none"},
        "exec": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    },
    "additionalProperties": False,
}
_LINK = {
    "type": "object",
    "properties": {
        "endpoints": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": r"^\S+:\S+$"},
        }
    },
    "required": ["endpoints"],
    "additionalProperties": False,
}
CONSTRAINTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "topology": {
            "type": "object",
            "properties": {
                "defaults": _NODE,
                "nodes": {"type": "object", "additionalProperties": _NODE},
                "links": {"type": "array", "minItems": 1, "items": _LINK},
            },
            "required": ["nodes"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "topology"],
    "additionalProperties": False,
}


def read(text: str) -> dict[str, Any]:
    """The file as containerlab reads it: its templates and variables first."""
    plain = text.replace("{{ `{{` }}", "{{").replace("$$", "$")
    found: dict[str, Any] = yaml.safe_load(plain)
    return found


def fits(text: str) -> None:
    found = read(text)
    jsonschema.validate(found, CONSTRAINTS)
    ends = [end for link in found["topology"].get("links", []) for end in link["endpoints"]]
    assert len(set(ends)) == len(ends)
    assert {end.split(":")[0] for end in ends} <= found["topology"]["nodes"].keys()


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_containerlab_takes_it(lab: LabFile) -> None:
    fits(containerlab(topology_of(lab), lab))


def test_the_published_schema() -> None:
    file = os.environ.get("CLAB_SCHEMA", "")
    if not file:
        pytest.skip("CLAB_SCHEMA names no copy of containerlab's schemas/clab.schema.json")
    schema = json.loads(Path(file).read_text())
    for lab in LABS:
        jsonschema.Draft7Validator(schema).validate(read(containerlab(topology_of(lab), lab)))


def test_the_constraints_refuse_what_is_wrong() -> None:
    text = containerlab(topology_of(ONE), ONE)
    for right, wrong in (("kind: linux", "kind: lynx"), ("  nodes:", "  knots:"), ("name:", "nam:"), ("exec:", "exe:")):
        with pytest.raises(jsonschema.ValidationError):
            fits(text.replace(right, wrong))


def played(text: str) -> str:
    """What containerlab would do with the file, as a script that is run in a sandbox."""
    found = read(text)["topology"]
    lines = ["set -e", "mount -t tmpfs tmpfs /run", "mkdir /run/netns"]
    lines += [f"ip netns add {node}" for node in found["nodes"]]
    for link in found.get("links", []):
        (a, one), (b, two) = (map(shlex.quote, end.split(":", 1)) for end in link["endpoints"])
        lines.append(f"ip -n {a} link add name {one} mtu 9500 type veth peer name {two} netns {b} mtu 9500")
        lines += [f"ip -n {a} link set dev {one} up", f"ip -n {b} link set dev {two} up"]
    for node, what in found["nodes"].items():
        for command in (*found["defaults"]["exec"], *what.get("exec", [])):
            lines.append(f"ip netns exec {node} {shlex.join(shlex.split(command))}")
    for node in found["nodes"]:
        lines.append(f"ip -n {node} -o link | cut -d' ' -f2 | cut -d@ -f1 | tr -d : | while read -r device; do")
        lines.append(f'    ip -n {node} link show dev "$device" >/dev/null; done')
    return "\n".join([*lines, '"$@"', ""])


def differing(text: str, topology: Topology, folder: Path) -> list[str]:
    """Where the network that containerlab would build differs from pktlab's own, ifindexes apart."""
    built = netstate.comparable(netstate.parse(built_by_pktlab(topology)), topology, numbered=False)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    sandbox = ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-eu"]
    words = [*sandbox, str(written(played(text), folder)), *netstate.questions(topology)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=DEADLINE, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    exported = netstate.comparable(netstate.parse(done.stdout), topology, numbered=False)
    for here in (*built.values(), *exported.values()):
        # The group of all IPv6 hosts has been joined and left again where IPv6 goes off when the link is up.
        here["fdb"] = [each for each in here["fdb"] if each["mac"] != "33:33:00:00:00:01"]
    return list(netstate.differences(built, exported))


# Together they have every kind of link, a cluster, rulesets, several LANs.
PLAYED = [
    "bridge_swallows_arp_reply",
    "broadcast_crosses_every_bridge",
    "calico_needs_a_tunnel_past_a_router",
    "flannel_leases_subnets_in_etcd",
    "links_move_between_namespaces",
    "nat_hides_the_source",
    "service_is_found_by_a_load_balancer",
    "vm_behind_a_tap_is_a_peer",
]


@pytest.mark.parametrize("lab", [lab for lab in LABS if lab.name in PLAYED], ids=lambda lab: lab.name)
def test_its_commands_build_the_same_network(lab: LabFile, tmp_path: Path) -> None:
    topology = topology_of(lab)
    assert differing(containerlab(topology, lab), topology, tmp_path) == []


def test_everything_that_can_be_declared(tmp_path: Path) -> None:
    topology = everything()
    text = containerlab(topology, ONE)
    fits(text)
    assert differing(text, topology, tmp_path) == []
    assert differing(text.replace("metric 5", "metric 7"), topology, tmp_path) != []


def test_what_is_missing_is_said() -> None:
    lab = next(lab for lab in LABS if lab.name == "vm_behind_a_tap_is_a_peer")
    assert "the program on the other side of a tap" in containerlab(topology_of(lab), lab)
    assert "the program on the other side of a tap" not in containerlab(topology_of(ONE), ONE)


def test_templates_and_variables_stay_text() -> None:
    topology = Topology()
    topology.namespace("a").nft('table ip t {\n  chain c {\n    counter comment "{{ $x }} ${y}"\n  }\n}')
    text = containerlab(topology, ONE)
    assert "$x" not in text.replace("$$x", "")
    assert "{{ $" not in text
    command = read(text)["topology"]["nodes"]["a"]["exec"][-1]
    assert shlex.split(command)[1] == 'table ip t {\n  chain c {\n    counter comment "{{ $x }} ${y}"\n  }\n}'


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=150)
words = st.lists(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12), min_size=1, max_size=40
)


@given(st.one_of(lines, words.map(" ".join), st.lists(lines, min_size=2, max_size=4).map("\n".join)))
def test_yaml_reads_a_command_as_it_was(command: str) -> None:
    assert yaml.safe_load("a:\n" + "\n".join(f"  {line}" for line in item(command))) == {"a": [command]}


@given(
    st.one_of(
        lines, st.sampled_from(["1", "on", "No", "null", "0x1", "1e3", "a.b", "_a", "y", "~", "TRUE", "-", "a: b"])
    )
)
def test_yaml_reads_a_name_as_it_was(text: str) -> None:
    assert yaml.safe_load(f"{name(text)}:\n  - {name(text)}") == {text: [text]}


@given(lines)
def test_yaml_reads_no_comment(text: str) -> None:
    assert yaml.safe_load("\n".join(["a: 1", *comment(text), "b: 2"])) == {"a": 1, "b": 2}


def test_the_command(tmp_path: Path) -> None:
    said = pktlab_command("export", "veth_is_a_cable", "--format", "containerlab", "-o", "v.clab.yml", cwd=tmp_path)
    assert (said.status, said.out, said.err) == (0, "", "")
    fits((tmp_path / "v.clab.yml").read_text())
    assert not os.access(tmp_path / "v.clab.yml", os.X_OK)
