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
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz.frame import Target, signature
from tests.fuzz.mutation import unzipped, zipped

try:
    import atheris
except ImportError:  # the extra `fuzz`, which `make fuzz` installs where there is a wheel of it
    atheris = None

MOST_MEMORY = 6 << 30  # addresses; what is really used is held to `MOST_USED`
MOST_USED = 2 << 10  # megabytes


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


def words(target: Target) -> str:
    """The dictionary of a format, as libFuzzer reads it."""
    spelled = ["".join(f"\\x{byte:02x}" for byte in word) for word in target.form.words if 0 < len(word) <= 64]
    return "".join(f'"{word}"\n' for word in dict.fromkeys(spelled))


def by_coverage(target: Target, judge: Judge, folder: Path, seconds: float, seed: int) -> None:
    """Never returns: the fuzzer ends the process. What reached new lines is kept for the next time."""
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in target.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    (folder / "words").write_text(words(target))

    def mutate(data: bytes, size: int, choice: int) -> bytes:
        chosen = Random(choice)
        if chosen.random() < 0.25:
            changed: bytes = atheris.Mutate(data, size)
            return changed
        # Most of what reached new lines was refused: that does not lead far. A seed is whole.
        return target.changed(chosen, chosen.choice((data, chosen.choice(target.seeds))))[:size]

    def mix(data: bytes, other: bytes, size: int, choice: int) -> bytes:
        return target.mixed(Random(choice), data, other)[:size]

    options = [f"-max_total_time={max(1, int(seconds))}", f"-max_len={target.most}", f"-seed={seed}", "-timeout=120"]
    options += [f"-rss_limit_mb={MOST_USED}", f"-artifact_prefix={folder}/died-", f"-dict={folder}/words"]
    options += ["-print_funcs=0", "-len_control=0", str(corpus)]
    atheris.Setup([sys.argv[0], *options], judge, custom_mutator=mutate, custom_crossover=mix)
    atheris.Fuzz()


def at_random(target: Target, judge: Judge, seconds: float, seed: int) -> None:
    """Changed seeds, one after the other; the nth input of a seed is always the same."""
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        choice = Random(f"{seed}/{number}")
        judge(target.changed(choice, choice.choice(target.seeds)))
        number += 1


def fuzz(target: Target, folder: Path, known: Sequence[bytes], seconds: float, seed: int, *, coverage: bool) -> None:
    """Fuzz a parser in this process for so long. It may not return. known: what broke it before"""
    bounded()
    judge = Judge(target, folder)
    for data in (*target.seeds, *known):
        judge(data)
    judge.tell()
    if coverage and atheris is not None:
        by_coverage(target, judge, folder, seconds, seed)
    at_random(target, judge, seconds, seed)
    judge.tell()


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def shrink(target: Target, folder: Path, seconds: float) -> None:
    """Make what was kept smaller while it shows the same defect. seconds: of processor time, of each"""
    bounded()
    for path in sorted(folder.glob("*.input")):
        if path.stem != "died":
            path.write_bytes(shrunk(target, path.read_bytes(), seconds))


def shrunk(target: Target, data: bytes, seconds: float) -> bytes:
    """A part of the input that breaks the law in the same way. seconds: of processor time"""
    what, ends = broken(target, data), time.process_time() + seconds

    def same(less: bytes) -> bool:
        return time.process_time() < ends and broken(target, less) == what

    def without(body: bytes, whole: Callable[[bytes], bytes]) -> bytes:
        """The body less every run of bytes that may go, long ones first. whole: the input around a body"""
        size = len(body)
        while what and (size := size // 2):
            at = 0
            while at < len(body) and time.process_time() < ends:
                less = body[:at] + body[at + size :]
                body, at = (less, at) if same(whole(less)) else (body, at + size)
        return body

    members = unzipped(data) if target.form.zipped else []
    if not same(zipped(members)):
        return without(data, lambda body: body)
    for at, (name, body) in enumerate(members):
        around = lambda less, at=at, name=name: zipped([*members[:at], (name, less), *members[at + 1 :]])  # noqa: E731
        members[at] = name, without(body, around)
    return zipped(members)


def broken(target: Target, data: bytes) -> str:
    """The signature of what an input breaks; "" if it breaks nothing."""
    try:
        target.judge(data)
    except Exception as error:
        return signature(error)
    return ""
