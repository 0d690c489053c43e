"""For tests of applications: a network in memory, time that jumps, scripted peers. Nothing here is for production."""

from lwm2m.testing.datagram import Block, Datagram, Kind
from lwm2m.testing.network import Conditions, Crossing, MemorySocket, Nat, Network
from lwm2m.testing.scripted import Asked, ScriptedClient, ScriptedPeer, ScriptedServer
from lwm2m.testing.virtual_time import NothingWillHappen, VirtualTimeLoop, clock, in_virtual_time, run

__all__ = [
    "Asked",
    "Block",
    "Conditions",
    "Crossing",
    "Datagram",
    "Kind",
    "MemorySocket",
    "Nat",
    "Network",
    "NothingWillHappen",
    "ScriptedClient",
    "ScriptedPeer",
    "ScriptedServer",
    "VirtualTimeLoop",
    "clock",
    "in_virtual_time",
    "run",
]
