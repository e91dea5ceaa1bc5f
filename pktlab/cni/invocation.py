"""Which plugins a command runs, in which order, with what in their environment and on their standard input."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pktlab.cni.conf import NAME, Chain, PluginConf
from pktlab.cni.result import Result
from pktlab.errors import LabError

COMMANDS = ("ADD", "CHECK", "DEL")
# ValidateInterfaceName() in pkg/utils/utils.go of containernetworking/cni
_INTERFACE = re.compile(r"[^/:\s]{1,15}")


@dataclass(frozen=True, slots=True)
class Container:
    """The attachment of a container to a network: its id, the path of its namespace, the name of the interface.

    `args` become CNI_ARGS, `capabilities` the runtimeConfig of the plugins that have them (such as portMappings).
    """

    id: str
    netns: str
    ifname: str = "eth0"
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.id):
            raise LabError(f"{self.id!r} is not the id of a container", remedy="use letters, digits, dot, dash")
        if not _INTERFACE.fullmatch(self.ifname) or self.ifname in (".", ".."):
            raise LabError(
                f"{self.ifname!r} is not a name for an interface", remedy="1 to 15 bytes, no slash, no colon"
            )
        if not isinstance(self.args, Mapping) or not all(
            isinstance(word, str) for p in self.args.items() for word in p
        ):
            raise LabError(f"{self.args!r} are no CNI_ARGS", remedy='give a dict of text: {"IgnoreUnknown": "1"}')
        wrong = [word for pair in self.args.items() for word in pair if re.search("[;=\\0]", word)]
        if wrong:
            raise LabError(f"CNI_ARGS cannot hold {wrong[0]!r}", remedy="no semicolon, no equals sign, no NUL")
        if not isinstance(self.capabilities, Mapping):
            raise LabError(f"{self.capabilities!r} are no capabilities", remedy='give a dict: {"portMappings": [...]}')
        try:
            json.dumps(dict(self.capabilities), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise LabError(
                f"the capabilities hold what JSON cannot say: {error}", remedy="use text, numbers, lists and dicts"
            ) from None

    def environment(self, command: str, path: str) -> dict[str, str]:
        """Return the variables of the protocol; `path` is where plugins look for those to which they delegate."""
        found = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.id,
            "CNI_NETNS": self.netns,
            "CNI_IFNAME": self.ifname,
            "CNI_PATH": path,
        }
        if self.args:
            found["CNI_ARGS"] = ";".join(f"{key}={value}" for key, value in self.args.items())
        return found


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of one plugin."""

    plugin: PluginConf
    stdin: dict[str, Any]


def invocations(
    chain: Chain, command: str, container: Container, *, result: Result | None = None, state: str = ""
) -> Generator[Invocation, Result | None, None]:
    """Yield the runs of plugins that a command takes, in order (SPEC.md, section 4).

    Of ADD, send the result of each run back into the generator: it is the next one's prevResult. CHECK and DEL get
    that of the ADD, `result`, and DEL goes through the chain from its end.
    """
    if command not in COMMANDS:
        raise LabError(f"{command!r} is no command of CNI", remedy=f"one of {', '.join(COMMANDS)}")
    if command == "CHECK" and chain.version < "0.4.0":
        raise LabError(f"CNI {chain.version} knows no CHECK", remedy='give "cniVersion": "0.4.0" or later')
    if command == "CHECK" and result is None:
        raise LabError("CHECK without the result of an ADD", remedy="add the container first")
    if command == "CHECK" and chain.disable_check:
        return
    prev = result.raw if result is not None and chain.version >= "0.4.0" else None
    for plugin in reversed(chain.plugins) if command == "DEL" else chain.plugins:
        stdin = chain.request(plugin, prev_result=prev, capabilities=container.capabilities, state=state)
        answered = yield Invocation(plugin, stdin)
        if command == "ADD" and isinstance(answered, Result):
            prev = answered.raw
