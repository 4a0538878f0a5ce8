"""The source files of the repository, as the checks of this folder read them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tieout"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path below `tieout/`, parsed."""
    found = sorted(PACKAGE.rglob("*.py"))
    return {p.relative_to(PACKAGE).as_posix(): ast.parse(p.read_text("utf-8"), str(p)) for p in found}


@cache
def kept_files() -> tuple[Path, ...]:
    """Every file under version control, and new ones that are not ignored; without git, everything but caches."""
    ran = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode == 0:
        return tuple(p for name in ran.stdout.split("\0") if name and (p := ROOT / name).is_file())
    hidden = {"__pycache__", "node_modules", "demo-output"}
    return tuple(
        p
        for p in sorted(ROOT.rglob("*"))
        if p.is_file() and not any(part in hidden or part.startswith(".") for part in p.relative_to(ROOT).parts[:-1])
    )


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every imported module with its line, imports inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
