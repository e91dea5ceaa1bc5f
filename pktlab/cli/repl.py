"""`pktlab repl`: Python in a network that is up."""

from __future__ import annotations

import hashlib
import sys

from pktlab import labfile
from pktlab.cli.standing import Network, found
from pktlab.errors import LabError


def repl(network: Network) -> int:
    """Open Python in a network that is up, with `net`, what the lab declares and Scapy's layers at hand.

    Frames are captured within `with net.capture() as seen:` and nowhere else; show(seen) prints their ways. Statements
    can be piped in: then the exit status is 1 if one of them failed.
    """
    from pktlab.cli.declared import lab_module
    from pktlab.standing import console, visit
    from pktlab.topology import Topology

    standing = found(network)
    source = labfile.read(standing.lab)
    module = lab_module(source)
    topology = getattr(module, "topology", None)
    if not isinstance(topology, Topology):
        raise LabError(f"{source.path} declares no topology any more", remedy="`pktlab sh` works without it")
    if hashlib.sha256(standing.lab.read_bytes()).hexdigest() != standing.digest:
        print(  # noqa: T201
            f"pktlab: {standing.lab} has been changed since the network came up:\n"
            "  what it declares now need not be what is there",
            file=sys.stderr,
        )
    return visit.inside(standing, lambda: console.run(standing, topology, module))
