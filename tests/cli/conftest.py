"""The installed program, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess[str]
PROGRAM = Path(sys.executable).with_name("tieout")


@pytest.fixture
def tieout(tmp_path: Path) -> Callable[..., Ran]:
    """Run `tieout ARGS` in a fresh folder; `env` adds variables."""

    def run(*args: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Ran:
        return subprocess.run(
            [PROGRAM, *map(str, args)],
            cwd=cwd or tmp_path,
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run
