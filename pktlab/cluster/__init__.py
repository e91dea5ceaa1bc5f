"""A Kubernetes cluster's network in a few lines: nodes, pods, a flavour of network and services, all declared data.

Everything goes through what `Topology` offers, so `show`, ``ablate`` and ``sweep`` see plain settings at the lab's
lines. What an author names (nodes, pods, services) has to be needed by an act; what a flavour always writes by
itself is scenery, with its reason.
"""

from pktlab.cluster.cluster import Cluster
from pktlab.cluster.node import Node, Pod
from pktlab.cluster.service import Service

__all__ = ["Cluster", "Node", "Pod", "Service"]
