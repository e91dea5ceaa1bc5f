"""Who belongs to a cluster, and what may be beside what in it; raises TopologyError at the line of the lab."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from pktlab.cluster.node import Node, Pod
from pktlab.cluster.service import Service
from pktlab.topology.origin import fault

if TYPE_CHECKING:
    from pktlab.cluster.cluster import Cluster

Member = TypeVar("Member", Node, Pod)


def members(what: str, given: Iterable[Member], kind: type[Member], cluster: Cluster) -> tuple[Member, ...]:
    """Check nodes or pods that a declaration names: each one of this very cluster, and none twice."""
    words = f"{kind.__name__.lower()}s"
    try:
        found = tuple(given)
    except TypeError:
        raise fault(f"{what} {given!r} is not a list of {words}", f"write the {words} in brackets") from None
    for number, each in enumerate(found):
        member(what, each, kind, cluster)
        if each in found[:number]:
            raise fault(f"{each} is twice among the {what}", "name it once")
    return found


def member(what: str, each: Member, kind: type[Member], cluster: Cluster) -> Member:
    """Check one node or pod: it is what this very cluster has made."""
    word = kind.__name__.lower()
    if not isinstance(each, kind):
        raise fault(
            f"{each!r} among the {what} is not a {word}", f"give the {word} itself, as the declaration returned it"
        )
    owner = each.cluster if isinstance(each, Node) else each.node.cluster
    if owner is not cluster:
        raise fault(f"{word} {each} among the {what} is another cluster's", f"name {word}s of this cluster")
    return each


def beside(service: Service, others: Iterable[Service]) -> None:
    """Check that a service can be told from others: by name, by address and port, by the port on nodes, by chains."""
    for other in others:
        if other.name == service.name:
            raise fault(f"the cluster already has a service {other.name!r}", "give each service its own name")
        if (other.ip, other.port, other.protocol) == (service.ip, service.port, service.protocol):
            raise fault(
                f"{other.ip}:{other.port}/{other.protocol} is already the place of service {other}",
                "give each service an address or a port of its own",
            )
        if service.node_port and (other.node_port, other.protocol) == (service.node_port, service.protocol):
            raise fault(
                f"node_port {other.node_port}/{other.protocol} is already that of service {other}",
                "give each service a node_port of its own",
            )
        if both := service.labels() & other.labels():
            raise fault(
                f"{min(both)!r} would name a chain of service {other} as well as of {service}",
                "rename one of the services or of the pods",
            )
