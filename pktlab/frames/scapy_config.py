"""Importing this keeps Scapy, when it is imported, from reading the machine's own routes and interfaces."""

from scapy.config import conf

conf.route_autoload = False
conf.route6_autoload = False
