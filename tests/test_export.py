"""An exported lab is the lab: the script builds what pktlab builds, setting for setting."""

from __future__ import annotations

import subprocess
from pathlib import Path

import netstate
import pytest

from pktlab import labfile
from pktlab.cli.declared import declared_topology
from pktlab.errors import MachineError
from pktlab.export import script
from pktlab.kernel import sandbox
from pktlab.kernel.program import environment
from pktlab.labfile import LabFile
from pktlab.network.testbed import Testbed
from pktlab.topology import Topology

LABS = labfile.discover()
DEADLINE = 60.0


def asked(topology: Topology) -> list[str]:
    return ["sh", "-c", netstate.COLLECT, "sh", netstate.declared(topology)]


def built_by_pktlab(topology: Topology) -> str:
    def inside() -> str:
        bed = Testbed(topology)
        try:
            done = subprocess.run(
                asked(topology), capture_output=True, text=True, check=True, timeout=DEADLINE, env=environment()
            )
        finally:
            bed.close()
        return done.stdout

    return sandbox.call(inside, deadline=DEADLINE)


def differing(text: str, topology: Topology, folder: Path) -> list[str]:
    """Where the network of a script differs from pktlab's own; the two are built side by side."""
    file = folder / "lab.sh"
    file.write_text(text)
    running = subprocess.Popen(
        ["sh", str(file), *asked(topology)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wanted = built_by_pktlab(topology)
        out, err = running.communicate(timeout=DEADLINE)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, err) == (0, "")
    built, exported = (netstate.comparable(netstate.parse(each), topology) for each in (wanted, out))
    assert built.keys() == set(topology.namespaces)
    return list(netstate.differences(built, exported))


def topology_of(lab: LabFile) -> Topology:
    topology = declared_topology(lab)
    assert topology is not None
    return topology


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_the_script_builds_the_same_network(lab: LabFile, tmp_path: Path) -> None:
    topology = topology_of(lab)
    try:
        assert differing(script(topology, lab), topology, tmp_path) == []
    except MachineError as error:
        pytest.skip(str(error))
