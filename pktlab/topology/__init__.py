"""What should exist: namespaces, interfaces, addresses, routes and settings, as data."""

from pktlab.topology.device import Device
from pktlab.topology.namespace import Namespace
from pktlab.topology.topology import Topology

__all__ = ["Device", "Namespace", "Topology"]
