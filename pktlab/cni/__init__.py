"""The Container Network Interface as data: what a runtime hands to plugins, and what they hand back.

See SPEC.md of containernetworking/cni, versions 0.4.0 and 1.0.0. Nothing here runs a program: that is
`pktlab.network.attaching`.
"""

from pktlab.cni.conf import Chain, PluginConf
from pktlab.cni.invocation import Container, Invocation, invocations
from pktlab.cni.result import Address, CniError, Dns, Link, Result, Route

__all__ = [
    "Address",
    "Chain",
    "CniError",
    "Container",
    "Dns",
    "Invocation",
    "Link",
    "PluginConf",
    "Result",
    "Route",
    "invocations",
]
