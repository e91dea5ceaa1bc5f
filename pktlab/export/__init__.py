"""A declared topology as a file for other tools: a shell script, a topology of containerlab."""

from pktlab.export.containerlab import containerlab
from pktlab.export.script import script

__all__ = ["containerlab", "script"]
