"""One parser, fuzzed in a process of its own, for it may crash or never end.

With atheris, inputs that reach new lines of tieout are changed further; without it, the seeds are.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.frame import Target, signature

try:
    import atheris
except ImportError:  # the extra `fuzz`, which `make fuzz` installs where there is a wheel of it
    atheris = None

MOST_MEMORY = 6 << 30


class Judge:
    """Judges inputs and keeps what breaks the law: of each defect the smallest input. folder: where to"""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._counts: Counter[str] = Counter()
        self._found: dict[str, int] = {}
        self._told = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, data: bytes) -> None:
        (self._folder / "current").write_bytes(data)  # what is left of it if the process dies
        try:
            self._counts[self._target.judge(data)] += 1
        except Exception as error:
            self._counts["broken"] += 1
            self._keep(signature(error), data, error)
        if time.monotonic() - self._told > 1:
            self.tell()

    def _keep(self, what: str, data: bytes, error: Exception) -> None:
        if len(data) >= self._found.get(what, len(data) + 1):
            return
        self._found[what] = len(data)
        name = hashlib.sha256(what.encode()).hexdigest()[:12]
        (self._folder / f"{name}.input").write_bytes(data)
        (self._folder / f"{name}.txt").write_text(f"{what}\n{str(error)[:2000]}\n", "utf-8", "backslashreplace")
        self.tell()

    def tell(self) -> None:
        """Write down the counts: at the end nobody may be left to do it."""
        self._told = time.monotonic()
        (self._folder / "counts.json").write_text(json.dumps({**self._counts, "defects": sorted(self._found)}))


def by_coverage(target: Target, judge: Judge, folder: Path, seconds: float, seed: int) -> None:
    """Never returns: the fuzzer ends the process."""
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in target.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def mutate(data: bytes, size: int, choice: int) -> bytes:
        chosen = Random(choice)
        if chosen.random() < 0.25:
            changed: bytes = atheris.Mutate(data, size)
            return changed
        return target.changed(chosen, data)[:size]

    options = [f"-max_total_time={max(1, int(seconds))}", f"-max_len={target.most}", f"-seed={seed}", "-timeout=120"]
    options += ["-rss_limit_mb=0", f"-artifact_prefix={folder}/died-", "-verbosity=0", "-len_control=0", str(corpus)]
    atheris.Setup([sys.argv[0], *options], judge, custom_mutator=mutate)
    atheris.Fuzz()


def at_random(target: Target, judge: Judge, seconds: float, seed: int) -> None:
    """Changed seeds, one after the other; the nth input of a seed is always the same."""
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        choice = Random(f"{seed}/{number}")
        judge(target.changed(choice, choice.choice(target.seeds)))
        number += 1


def fuzz(target: Target, folder: Path, seconds: float, seed: int, *, coverage: bool) -> None:
    """Fuzz a parser in this process for so long. It may not return."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    judge = Judge(target, folder)
    for data in target.seeds:
        judge(data)
    judge.tell()
    if coverage and atheris is not None:
        by_coverage(target, judge, folder, seconds, seed)
    at_random(target, judge, seconds, seed)
    judge.tell()
