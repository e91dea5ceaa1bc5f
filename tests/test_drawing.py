"""Pictures of topologies: everything has its place, wires go round boxes, and no name breaks out of its label."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commandline import pktlab_command
from hypothesis import given, settings
from hypothesis import strategies as st

from pktlab import Cluster, Topology, labfile
from pktlab.drawing.dot import dot
from pktlab.drawing.layout import Layout, Placed, cells, layout, text_width
from pktlab.drawing.mermaid import mermaid
from pktlab.drawing.plan import TUNNEL, VETH, plan
from pktlab.drawing.svg import svg
from pktlab.drawing.text import text
from pktlab.errors import MachineError
from pktlab.kernel.program import program

PICTURES = Path(__file__).parents[1] / "docs/pictures"
NASTY = '<b>"&;]#\\'


def classic() -> Topology:
    """The network of the lab bridge_swallows_arp_reply."""
    topology = Topology()
    host = topology.namespace("host")
    veth0, veth1 = host.veth("veth0", "veth1")
    host.bridge("br0", ports=[veth0])
    veth0.address("192.168.3.101/24")
    veth1.address("192.168.3.102/24")
    return topology


def star(leaves: int) -> Topology:
    """Hosts around a switch."""
    topology = Topology()
    switch = topology.namespace("switch")
    ports = []
    for number in range(leaves):
        eth0, port = topology.namespace(f"h{number}").veth("eth0", f"p{number}", netns=switch)
        eth0.address(f"10.0.0.{number + 1}/24")
        ports.append(port)
    switch.bridge("br0", ports=ports)
    return topology


def cluster() -> Topology:
    """Two nodes with a pod each, and VXLAN between them."""
    topology = Topology()
    made = Cluster(topology, "vxlan")
    for number in (1, 2):
        made.node(f"n{number}").pod(f"pod{number}")
    return topology


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Two to twenty namespaces with wires anywhere, bridges, and names as odd as the kernel allows."""
    topology = Topology()
    spaces = [topology.namespace(f"n{number}") for number in range(draw(st.integers(1, 20)))]
    for number in range(draw(st.integers(0, 24))):
        near, far = draw(st.sampled_from(spaces)), draw(st.sampled_from(spaces))
        one, other = near.veth(f"a{number}{draw(st.sampled_from(['', NASTY]))}", f"b{number}", netns=far)
        if draw(st.booleans()):
            one.address(f"10.{number}.0.1/24", f"10.{number}.0.2/24")
        if draw(st.booleans()):
            far.bridge(f"br{number}", ports=[other])
    return topology


def inside(box: Placed, x: int, y: int) -> bool:
    """Whether a cell is within a box, its border not counted."""
    return box.x < x < box.x + box.width - 1 and box.y < y < box.y + box.height - 1


def check(placed: Layout) -> None:
    """What holds of every layout."""
    for one, other in combinations(placed.boxes, 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y, (one.box, other.box)
    for box in placed.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= placed.width
        assert box.y + box.height <= placed.height
    for box, row, x, y in cells(placed):
        assert inside(box, x, y)
        assert x + text_width(row) - 2 * row.depth < box.x + box.width - box.inner
    borders = {
        end: [(box.x, box.y + at), (box.x + box.width - 1, box.y + at)]
        for box in placed.boxes
        for end, at in box.offsets.items()
    }
    for route in placed.routes:
        for (x1, y1), (x2, y2) in pairwise(route.points):
            assert x1 == x2 or y1 == y2
            passed = [(x, y) for x in range(min(x1, x2), max(x1, x2) + 1) for y in range(min(y1, y2), max(y1, y2) + 1)]
            assert all(0 <= x < placed.width and 0 <= y < placed.height for x, y in passed)
            if not route.inner:
                assert not any(inside(box, x, y) for box in placed.boxes for x, y in passed)
        if not route.inner:
            for at, end in ((0, "first"), (-1, "last")):
                assert any(route.points[at] in borders[each] for each in route.wire.ends), end


@settings(max_examples=60, deadline=None)
@given(topologies(), st.booleans())
def test_everything_has_its_place(topology: Topology, two_sided: bool) -> None:
    planned = plan(topology)
    placed = layout(planned, two_sided=two_sided)
    check(placed)
    assert len(placed.routes) == len(planned.wires)
    # No two wires share a way: only where they cross do they meet.
    ways = [
        {(x1, y) for y in range(min(y1, y2), max(y1, y2) + 1)}
        for route in placed.routes
        for (x1, y1), (x2, y2) in pairwise(route.points)
        if x1 == x2 and not route.inner
    ]
    for one, other in combinations(ways, 2):
        assert not one & other
    root = ElementTree.fromstring(svg(planned, title=NASTY))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "g", "text", "path"),
    }
    assert all(len(line) <= 80 for line in text(planned).splitlines())
    assert f"{svg(planned)}{mermaid(planned)}" == f"{svg(plan(topology))}{mermaid(plan(topology))}"


def test_the_classic() -> None:
    assert (
        text(plan(classic()))
        == """\
+- host ------------------------+
| veth1  192.168.3.102/24 ====+ |
| br0  bridge                 | |
|   veth0  192.168.3.101/24 ==+ |
+-------------------------------+
"""
    )


def test_a_star_is_drawn_where_it_fits() -> None:
    drawn = text(plan(star(3)))
    assert drawn.splitlines()[0].startswith(" " * 20)
    assert "=== p0" in drawn
    assert re.search(r"p1 =+ eth0  10\.0\.0\.2/24 \|", drawn) or re.search(r"p1 =+\+", drawn)
    check(layout(plan(star(19))))


def test_a_cluster_that_is_too_wide_is_told() -> None:
    told = text(plan(cluster()))
    assert max(map(len, told.splitlines())) <= 80
    assert re.search(r"^  flannel\.1 +vxlan 1  10\.244\.1\.0/32  \. n2/flannel\.1$", told, re.M)
    assert layout(plan(cluster())).width > 80


def test_tunnels_are_wires_of_their_own() -> None:
    planned = plan(cluster())
    tunnels = [wire for wire in planned.wires if wire.kind == TUNNEL]
    assert [(str(wire.ends[0]), str(wire.ends[1]), wire.label) for wire in tunnels] == [
        ("n1/flannel.1", "n2/flannel.1", "vxlan 1")
    ]
    assert "vxlan 1" in svg(planned)
    assert mermaid(planned).count("-. ") == dot(planned).count("dashed") == 1


def test_two_vxlan_devices_without_a_way_to_each_other_are_no_tunnel() -> None:
    topology = Topology()
    for name in ("a", "b"):
        topology.namespace(name).vxlan("vx0", id=42, local="10.0.0.1")
    assert plan(topology).wires == []


def test_what_is_down_and_what_stands_on_what() -> None:
    topology = Topology()
    host = topology.namespace("host")
    veth0, veth1 = host.veth("veth0", "veth1")
    host.macvlan("mv0", link=veth0)
    veth1.down()
    host.lo.down()
    rows = {row.name: (row.depth, row.notes) for row in plan(topology).boxes[0].rows}
    assert rows == {"lo": (0, ("down",)), "veth0": (0, ()), "mv0": (1, ("macvlan bridge",)), "veth1": (0, ("down",))}


def test_names_are_escaped() -> None:
    topology = Topology()
    host = topology.namespace("host")
    host.veth(NASTY, "b\x01")
    planned = plan(topology)
    drawn = svg(planned, title="</title><script>alert(1)</script>")
    assert "<b>" not in drawn
    assert "<script" not in drawn
    assert "&lt;b&gt;" in drawn
    assert "\x01" not in drawn + mermaid(planned) + dot(planned) + text(planned)
    assert "#60;b#62;#34;#38;#59;#93;#35;#92;" in mermaid(planned)
    assert '"<b>\\"&;]#\\\\"' in dot(planned)


def test_graphviz_takes_it(tmp_path: Path) -> None:
    try:
        path = program("dot")
    except MachineError as error:
        pytest.skip(str(error))
    topology = cluster()
    topology.namespace("odd").veth(NASTY, "b0")
    done = subprocess.run([path, "-Tsvg"], input=dot(plan(topology)), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wires_of_a_topology_are_all_drawn() -> None:
    assert {wire.kind for wire in plan(cluster()).wires} == {VETH, TUNNEL}
    ends = {end.name for wire in plan(star(3)).wires for end in wire.ends}
    assert ends == {"eth0", "p0", "p1", "p2"}


def test_the_command(tmp_path: Path) -> None:
    said = pktlab_command("graph", "bridge_swallows_arp_reply", cwd=tmp_path)
    assert (said.status, said.out, said.err) == (0, text(plan(classic())), "")
    drawn = pktlab_command("graph", "vxlan_wraps_the_frame", "--format", "svg", cwd=tmp_path)
    root = ElementTree.fromstring(drawn.out)
    words = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {"a", "node1", "vx2", "nic1", "vxlan 1"} <= words
    for form in ("mermaid", "dot"):
        assert pktlab_command("graph", "vxlan_wraps_the_frame", "-f", form, cwd=tmp_path).status == 0


@pytest.mark.parametrize("file", sorted(PICTURES.glob("*.svg")), ids=lambda file: file.stem)
def test_the_pictures_of_the_documents_are_current(file: Path, tmp_path: Path) -> None:
    drawn = pktlab_command("graph", file.stem, "--format", "svg", cwd=tmp_path)
    assert drawn.out == file.read_text("utf-8"), f"pktlab graph {file.stem} --format svg > docs/pictures/{file.name}"


def test_a_topology_that_a_fixture_makes(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text('"""Later."""\ntopology = None\ndef test_it(): pass\n')
    said = pktlab_command("graph", "./later.py", cwd=tmp_path)
    assert said.status == 2
    assert "declares no topology" in said.err


def test_it_is_quick_to_start(tmp_path: Path) -> None:
    """Whoever looks at a lab waits for neither Scapy nor pyroute2 nor pytest."""
    code = (
        "import sys; from pktlab.cli.graph import graph; from pktlab.cli.graph import Format\n"
        "graph('bridge_swallows_arp_reply', Format.svg)\n"
        "assert not {'scapy', 'pyroute2', 'pytest'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_lab_has_a_picture() -> None:
    from pktlab.cli.declared import declared_topology

    for lab in labfile.discover():
        topology = declared_topology(lab)
        if topology is not None:
            check(layout(plan(topology)))
            assert max(map(len, text(plan(topology)).splitlines())) <= 80
