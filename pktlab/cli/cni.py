"""`pktlab cni`: what a CNI plugin does, by the protocol and in namespaces of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pktlab.cli.screen import Screen, write_json
from pktlab.cli.status import FAILED, PASSED
from pktlab.errors import LabError
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.network import Network
    from pktlab.topology import Namespace

VERBS = {"add": ["ADD"], "check": ["ADD", "CHECK"], "del": ["ADD", "DEL"]}


_CAPABILITIES = """give an object, such as '{"portMappings": [...]}'; see runtimeConfig in SPEC.md of CNI"""


def cni(
    verb: Annotated[str, typer.Argument(metavar="add|check|del", help="What the plugins are to do.")],
    conf: Annotated[Path, typer.Option("--conf", metavar="FILE", help="A conflist, or one plugin's configuration.")],
    netns: Annotated[
        str, typer.Option("--netns", metavar="NAME", help="Within a lab: the pod's namespace; here is the host.")
    ] = "",
    ifname: Annotated[str, typer.Option(metavar="NAME", help="The interface in the pod.")] = "eth0",
    id: Annotated[str, typer.Option(metavar="ID", help="The container's id; by default the pod's name.")] = "",
    path: Annotated[str, typer.Option(metavar="DIRS", help="Folders with plugins; by default CNI_PATH.")] = "",
    capabilities: Annotated[
        str, typer.Option(metavar="JSON", help='runtimeConfig for who has it: {"portMappings": [...]}')
    ] = "{}",
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> int:
    """Run a network's CNI plugins, and show what they did to a host and a pod.

    Without --netns this happens in a sandbox with two empty namespaces, host and pod, which is gone afterwards: add
    shows what an ADD makes, check runs an ADD and a CHECK, del an ADD and a DEL, and shows what is left. With --netns
    the command must have been started by a lab, with net.run(host, ["pktlab", "cni", ...]): then it does that one
    thing, to that pod, in the namespace where it runs, and prints the result as a plugin does.

    The exit status is 1 if a plugin failed.
    """
    if verb not in VERBS:
        raise typer.BadParameter(f"{verb!r} is none of {', '.join(VERBS)}", param_hint="add|check|del")
    try:
        # Bytes: whether they are text is a matter of the configuration.
        text = conf.read_bytes()
    except OSError as error:
        raise LabError(f"cannot read {conf}: {error.strerror}", remedy="name a file with --conf FILE") from None
    try:
        said = json.loads(capabilities)
    except (ValueError, RecursionError) as error:
        raise LabError(f"--capabilities is not JSON: {error}", remedy=_CAPABILITIES) from None
    if not isinstance(said, dict):
        raise LabError(f"--capabilities is no JSON object: {capabilities}", remedy=_CAPABILITIES)
    words: dict[str, Any] = {"ifname": ifname, "id": id, "path": path, "capabilities": said}
    if netns:
        return _within(verb, text, netns, **words)
    from pktlab.kernel import sandbox

    found = sandbox.call(lambda: _trial(verb, text, **words))
    if as_json:
        write_json({"version": 1, **found})
    else:
        Screen().lines(_lines(found))
    return FAILED if found["error"] else PASSED


def _within(verb: str, text: bytes, netns: str, *, ifname: str, id: str, path: str, capabilities: Any) -> int:
    """Do one thing inside a lab, as a runtime would."""
    from pktlab.cni import Chain, CniError, Container
    from pktlab.kernel.cniplugins import Here, Runtime

    name = Path(netns).name
    runtime = Runtime(Here(), Chain.parse(text), path=path)
    container = Container(id or name, f"/run/netns/{name}", ifname, capabilities=capabilities)
    try:
        result = runtime.run(verb.upper(), container)
    except CniError as error:
        write_json({"code": error.code, "msg": error.msg, "details": error.details})
        return FAILED
    if result is not None:
        write_json(dict(result.raw))
    return PASSED


def _trial(
    verb: str, text: bytes, *, ifname: str, id: str, path: str, capabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """Do it in a sandbox, in two namespaces made for it; return what was answered and what is there then."""
    from pktlab.cni import CniError
    from pktlab.network import Network
    from pktlab.topology import Topology

    topology = Topology()
    host, pod = topology.namespace("host"), topology.namespace("pod")
    found: dict[str, Any] = {"steps": [], "error": ""}
    with Network(topology) as net:
        plugins = net.cni(host, text, path=path)
        try:
            for step in VERBS[verb]:
                found["steps"].append(step)
                if step == "ADD":
                    added = plugins.add(pod, ifname=ifname, id=id, capabilities=capabilities)
                    found["result"] = dict(added.result.raw)
                elif step == "CHECK":
                    plugins.check(pod, ifname=ifname, id=id)
                else:
                    plugins.delete(pod, ifname=ifname, id=id)
        except CniError as error:
            found["error"] = error.message
        found["host"], found["pod"] = _state(net, host), _state(net, pod)
        found["leases"] = plugins.leases
    return found


def _state(net: Network, where: Namespace) -> dict[str, list[str]]:
    """What there is in a namespace, less what every one has."""
    links = [link for link in net.links(where) if link.name != "lo"]
    rules = net.run(where, ["nft", "list", "ruleset"]).stdout.splitlines()
    return {
        "links": [" ".join([link.name, link.state, *link.addresses]).strip() for link in links],
        "routes": [
            " ".join([each.dst, *(["via", each.via] if each.via else []), "dev", each.dev])
            for each in net.routes(where)
        ],
        "rules": [line.rstrip() for line in rules if line.strip()],
    }


def _lines(found: Mapping[str, Any]) -> list[Line]:
    role = "failed" if found["error"] else "passed"
    lines: list[Line] = [[Span(", ".join(found["steps"]), role), Span("  ok" if not found["error"] else "")]]
    lines += [[Span(f"  {line}", "failed")] for line in found["error"].splitlines()]
    for address in found.get("result", {}).get("ips") or []:
        lines.append([Span(f"  address {address.get('address', '')} gateway {address.get('gateway', 'none')}")])
    for place in ("host", "pod"):
        lines.append([Span(f"  {place}", "path")])
        state = found[place]
        lines += [[Span(f"    {line}")] for kind in state for line in state[kind]] or [[Span("    nothing but lo")]]
    if found["leases"]:
        lines.append([Span("  leases", "path")])
        lines += [[Span(f"    {address} {id}")] for address, id in found["leases"].items()]
    return lines
