"""The reference connector: books held in memory, in every shape that real systems have, and able to fail on purpose."""

from tieout.connectors.memory.books import MemoryBooks
from tieout.connectors.memory.connector import MemoryConnector, open_books, open_memory
from tieout.connectors.memory.faults import Fault, FaultKind, Faults, SimulatedCrash
from tieout.connectors.memory.profiles import FIELDS, PROFILES, MemoryProfile
from tieout.connectors.memory.types import Logged, ManualClock, Request, Rules

__all__ = [
    "FIELDS",
    "PROFILES",
    "Fault",
    "FaultKind",
    "Faults",
    "Logged",
    "ManualClock",
    "MemoryBooks",
    "MemoryConnector",
    "MemoryProfile",
    "Request",
    "Rules",
    "SimulatedCrash",
    "open_books",
    "open_memory",
]
