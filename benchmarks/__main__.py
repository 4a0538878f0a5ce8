"""`python -m benchmarks [NAME …]`: all of them, or those named."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

NAMES = ("start", "quickbooks", "sage_x3", "state", "sync", "ledgers", "files", "workbook", "compare")


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    print(
        "Ratios of medians, each pair measured in turns in this run. A limit that is missed says so and fails nothing."
    )
    for name in wanted or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
            figures = module.run(Path(folder))
        print(f"\n{name}: {module.__doc__.splitlines()[0]}  ({time.perf_counter() - start:.0f} s)", flush=True)
        for figure in figures:
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
