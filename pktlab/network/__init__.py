"""The live layer: a topology that is up, and the questions asked of it."""

from pktlab.network.answer import Answer
from pktlab.network.network import Network
from pktlab.network.seen import Seen

__all__ = ["Answer", "Network", "Seen"]
