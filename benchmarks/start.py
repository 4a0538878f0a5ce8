"""What a command costs before it does anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figure, in_turns


def run(folder: Path) -> list[Figure]:
    # Bytecode is kept in a folder of our own, as an installation keeps it; the first round writes it.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")

    def python(*args: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *args], env=env, check=True, capture_output=True)

    contenders = {
        "python": python("-c", "pass"),
        "help": python("-m", "tieout", "--help"),
        "duckdb": python("-c", "import duckdb, sqlalchemy, pydantic"),
    }
    in_turns(contenders, rounds=1)
    times = in_turns(contenders, rounds=9)
    return [
        Figure("tieout --help", "an empty Python start", times.ratio("help", "python"), 5),
        Figure("tieout --help", "importing the libraries that commands use", times.ratio("help", "duckdb")),
    ]
