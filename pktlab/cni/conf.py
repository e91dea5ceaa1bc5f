"""A network's configuration: a chain of plugins ("conflist"), or a single plugin's, which is a chain of one."""

from __future__ import annotations

import copy
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pktlab.errors import LabError

# 1.1.0 adds nothing that the plugins of Debian 12 know.
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
# validateNetworkName() and ValidateContainerID() in pkg/utils/utils.go of containernetworking/cni
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_TYPE = re.compile(r"[^/\0]+")
# Keep leases in the machine's own files unless they are told otherwise.
_STATEFUL = ("host-local",)


@dataclass(frozen=True, slots=True)
class PluginConf:
    """One plugin of a chain: `type` is the name of its executable, `body` its configuration as it was written."""

    type: str
    body: Mapping[str, Any]

    @property
    def ipam(self) -> str:
        """The name of the plugin to which this one delegates addresses; empty if to none."""
        ipam = self.body.get("ipam")
        return str(ipam.get("type", "")) if isinstance(ipam, dict) else ""


@dataclass(frozen=True, slots=True)
class Chain:
    """A network: its name, the version that is spoken with its plugins, and these in the order of ADD."""

    name: str
    version: str
    plugins: tuple[PluginConf, ...]
    disable_check: bool = False

    @classmethod
    def parse(cls, conf: str | bytes | Mapping[str, Any]) -> Chain:
        """Read a configuration: JSON text, or a mapping that is the same. Raises LabError for what is wrong in it."""
        if isinstance(conf, str | bytes):
            try:
                conf = json.loads(conf)
            except (ValueError, RecursionError) as error:
                raise LabError(f"the CNI configuration is not JSON: {error}", remedy="see SPEC.md of CNI") from None
        if not isinstance(conf, Mapping):
            raise _fault(f"is no object but {conf!r}", 'write {"cniVersion": ..., "name": ..., "plugins": [...]}')
        data = _plain(conf)
        # What came before cniVersion is not spoken by any plugin of today.
        version = data.get("cniVersion", "")
        if version not in VERSIONS:
            raise _fault(f"has cniVersion {version!r}", f"give one of {', '.join(VERSIONS)}")
        name = data.get("name", "")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise _fault(f"has the name {name!r}", "use letters, digits, dot, dash and underscore")
        listed = data.get("plugins", [data] if "plugins" not in data else None)
        if not isinstance(listed, list) or not listed:
            raise _fault("has no plugins", 'give "plugins": [{"type": ...}, ...], or the "type" of a single one')
        plugins = []
        for each in listed:
            kind = each.get("type", "") if isinstance(each, dict) else ""
            if not isinstance(kind, str) or not _TYPE.fullmatch(kind) or kind in (".", ".."):
                raise _fault(f"has a plugin without a type: {each!r}", 'its "type" is the name of an executable')
            plugins.append(PluginConf(kind, each))
        disabled = data.get("disableCheck", False) if "plugins" in data else False
        return cls(name, version, tuple(plugins), disabled in (True, "true"))

    def request(
        self,
        plugin: PluginConf,
        *,
        prev_result: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        state: str = "",
    ) -> dict[str, Any]:
        """Return the execution configuration of a plugin, which it reads on standard input (SPEC.md, section 3).

        The chain's name and version come in; of `capabilities` those that the plugin says it has become its
        runtimeConfig. `state` is a folder for leases. A dataDir that the configuration names becomes one beside it,
        `STATE@/var/lib/cni/networks`: its files would be the machine's, its leases perhaps those of a real node.
        """
        body = {key: copy.deepcopy(value) for key, value in plugin.body.items() if key != "plugins"}
        declared = body.pop("capabilities", None)
        declared = declared if isinstance(declared, dict) else {}
        if state:
            _redirect(body, state)
        body |= {"cniVersion": self.version, "name": self.name}
        wanted = {key: value for key, value in (capabilities or {}).items() if declared.get(key) is True}
        if wanted:
            body["runtimeConfig"] = wanted
        if prev_result is not None:
            body["prevResult"] = dict(prev_result)
        return body

    def folders(self, state: str) -> set[str]:
        """Return where host-local keeps the leases of this chain, given `request(..., state=state)`."""
        return {folder for plugin in self.plugins for folder in _folders(self.request(plugin, state=state))}


def _plain(conf: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as JSON would have it. Raises LabError for what JSON cannot say."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(conf)))
    except (TypeError, ValueError, RecursionError) as error:
        raise _fault(f"holds what JSON cannot say: {error}", "use text, numbers, lists and dicts") from None
    return found


def _redirect(body: Any, state: str) -> None:
    """Lead every dataDir in a configuration below or beside `state`, those of delegates as well."""
    if isinstance(body, list):
        for each in body:
            _redirect(each, state)
    if not isinstance(body, dict):
        return
    for each in body.values():
        _redirect(each, state)
    folder = body.get("dataDir") or ""
    if body.get("type") in _STATEFUL and folder == "":
        body["dataDir"] = state
    elif isinstance(folder, str) and folder:
        # Absolute, so that no ".." leads out of it.
        body["dataDir"] = f"{state}@{posixpath.normpath('/' + folder.lstrip('/'))}"


def _folders(body: Any) -> set[str]:
    parts = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    found = {folder for part in parts for folder in _folders(part)}
    if isinstance(body, dict) and body.get("type") in _STATEFUL and isinstance(body.get("dataDir"), str):
        found.add(body["dataDir"])
    return found


def _fault(message: str, remedy: str) -> LabError:
    return LabError(f"the CNI configuration {message}", remedy=remedy)
