"""The topology that a lab declares, for commands that look at it without running the lab's acts."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from pktlab import labfile
from pktlab.errors import LabError, PktlabError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from pktlab.topology import Topology


def declared_topology(lab: labfile.LabFile) -> Topology | None:
    """Import a lab for the topology that it declares; return None where a fixture makes it later.

    Raises LabError if the import fails.
    """
    from pktlab.cli.inert import stand_ins
    from pktlab.topology import Topology

    path = lab.path.resolve()
    sys.path.append(str(path.parent))
    # A lab that is only looked at leaves nothing beside it.
    sys.dont_write_bytecode = True
    try:
        with stand_ins():
            module = _imported(lab, path)
    except (Exception, SystemExit):
        # Whoever is at fault: with the real packets it is told as it would be in a run.
        module = lab_module(lab)
    topology = getattr(module, "topology", None)
    return topology if isinstance(topology, Topology) else None


def lab_module(lab: labfile.LabFile) -> ModuleType:
    """Import a lab with Scapy's real packets, as a run does. Raises LabError if that fails."""
    import pktlab.frames.scapy_config  # noqa: F401
    from pktlab.fault import describe

    path = lab.path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.dont_write_bytecode = True
    try:
        return _imported(lab, path)
    except PktlabError:
        raise
    except (Exception, SystemExit) as error:
        raise LabError(describe(error, path), remedy="the lab must be importable as it stands") from None


def _imported(lab: labfile.LabFile, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"pktlab_shown_{lab.name}", path)
    if spec is None or spec.loader is None:
        raise LabError(f"{lab.path} is no Python file", remedy="a lab's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
