"""Whether the process that holds a lease is gone, where this machine can tell for certain.

A process is known by its kernel's boot, its process namespace, its number and the time it started, so that neither a
number that was given again nor another machine or container of the same name is taken for it. Only Linux says all of
these; elsewhere nothing is certain, and a lease ends by its time alone.
"""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DEAD = frozenset("ZX")


def this_worker() -> str | None:
    """This process, for others on this machine to look for; None where the system does not say enough."""
    try:
        _, started, _ = _stat(os.getpid())
        return f"{_machine()} {os.getpid()} {started}"
    except (OSError, ValueError, IndexError):
        return None


def is_gone(worker: str | None) -> bool:
    """Whether that process has certainly ended. False for one of another machine, and for any doubt."""
    if worker is None:
        return False
    try:
        machine, pid, started = worker.rsplit(" ", 2)
        if machine != _machine():
            return False
        if not _exists(int(pid)):
            return True
        state, now, threads = _stat(int(pid))
    except (OSError, ValueError, IndexError):
        return False
    return now != started or (state in _DEAD and threads <= 1)


def _exists(pid: int) -> bool:
    """Whether the number is in use, a process of another user included (which /proc may hide)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _machine() -> str:
    """The running kernel and the process namespace: within the two, a number and a start time are one process."""
    return f"{_BOOT.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def _stat(pid: int) -> tuple[str, str, int]:
    """State, start time in clock ticks since boot, and number of threads; proc(5), fields 3, 22 and 20."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19], int(fields[17])
