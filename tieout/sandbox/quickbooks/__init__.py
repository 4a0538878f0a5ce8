"""A QuickBooks Online that runs on this machine: the v3 API, its books, and the ways it can fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .app import app
from .books import Books, Effect, system_clock
from .faults import Refused
from .server import Registration, Running, running, serve
from .switches import Switches


def generate(
    n_customers: int,
    n_invoices: int,
    seed: int,
    *,
    switches: Switches | None = None,
    clock: Callable[[], datetime] = system_clock,
) -> Books:
    """Books of any size, the same for the same arguments and day: about six payments to ten invoices."""
    return Books(f"generate:{n_customers}:{n_invoices}:{seed}", switches, clock)


__all__ = ["Books", "Effect", "Refused", "Registration", "Running", "Switches", "app", "generate", "running", "serve"]
