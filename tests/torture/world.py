"""One small company under torture: a QuickBooks that survives, a file ERP, people in both, and `tieout` as processes."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cli.conftest import here
from tests.cli.office import ERP, quickbooks
from tests.torture.launcher import Launcher
from tests.torture.people import People
from tieout.evidence.verify import log_breaks
from tieout.sandbox.file_erp import FileErp
from tieout.sandbox.quickbooks import Books, Running, Switches, running

LATE = date(2026, 12, 31)
BEGIN = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
LAYOUTS = ("customers", "sap-fbl5n-en")
CONFIG = """
[company]
name = "Torture Ltd"
[state]
url = "{state}"
[secrets]
store = "file"
{erp}[connection.erp.imports]
customer = "import-customers"
invoice = ["import-sap-posting", "import-sap-reversal"]
credit_memo = ["import-sap-posting", "import-sap-clearing", "import-sap-reversal"]
payment = ["import-sap-posting", "import-sap-clearing", "import-sap-reversal"]
{quickbooks}[pair.main]
left = "erp"
right = "quickbooks"
mode = "auto"
unattended = ["credit_memo", "adjustment", "invoice.void", "payment.void", "credit_memo.void"]
[pair.main.codes.items]
"" = "1"
[pair.main.codes.taxes]
"" = "NON"
"O0" = "NON"
[pair.main.limits]
creates = 1000
voids = 1000
same_field = 1000
"""


@dataclass
class Time:
    """The time of the books and of the runs: it stands still but for what it is told."""

    now: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **spell: float) -> None:
        self.now += timedelta(**spell)


@dataclass(frozen=True)
class Ran:
    """One process that ended. code: negative for a signal · trace: the boundaries that it passed, in order"""

    code: int
    said: Any
    error: str
    trace: tuple[str, ...]
    seconds: float

    @property
    def killed(self) -> bool:
        return self.code == -9

    @property
    def run(self) -> Any:
        """What it reports of the pair; {} if it came to no report."""
        return (self.said or {}).get("runs", [{}])[0] if (self.said or {}).get("runs") else {}

    @property
    def quiet(self) -> bool:
        run = self.run
        settled = run and not any(run["applied"][k] for k in ("pending", "unknown", "blocked", "stale"))
        waits = run and "SYNC_IN_FLIGHT" in run["by_code"]
        return bool(settled and not waits and not run["plan"]["operations"] and not run["failures"])


@dataclass
class World:
    folder: Path
    site: Running
    erp: FileErp
    people: People
    launcher: Launcher
    time: Time
    random: random.Random
    state: str
    runs: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    target: tuple[str, int, int] | None = None  # the boundary to die at, which passing of it, tries so far
    quiet_run: Ran | None = None
    took: float = 0.5  # seconds, the newest run that was left alone

    def configure(self) -> None:
        text = CONFIG.format(erp=ERP, quickbooks=quickbooks(self.site), state=self.state)
        (self.folder / "tieout.toml").write_text(text, "utf-8")

    def start(self, *words: str, **how: Any) -> tuple[int, Path, float]:
        self.runs += 1
        out = self.folder / f"run{self.runs}"
        how.setdefault("at", self.time.now.isoformat())
        env = {"QBO_SECRET": self.site.client_secret, "TIEOUT_CONFIG": "tieout.toml"}
        return self.launcher.start(*words, folder=self.folder, out=out, env=env, **how), out, time.monotonic()

    def end(self, started: tuple[int, Path, float]) -> Ran:
        pid, out, since = started
        code = self.launcher.wait(pid)
        took = time.monotonic() - since
        said, error, trace = (Path(f"{out}.{kind}").read_text("utf-8") for kind in ("out", "err", "trace"))
        for kind in ("out", "err", "trace"):
            Path(f"{out}.{kind}").unlink()
        try:
            parsed = json.loads(said)
        except ValueError:
            parsed = None
        ran = Ran(code, parsed, error, tuple(trace.split("\n")[:-1]), took)
        self.codes[code] += 1
        self.took = took if code >= 0 and len(trace) > 2000 else self.took
        self.reached |= Counter(ran.trace)
        run = ran.run
        wrote = [f"{o['op']} {o['entity']} {o['key'][-6:]}" for o in run.get("plan", {}).get("operations", [])]
        done = {k: n for k, n in run.get("applied", {}).items() if n}
        end = ran.trace[-1] if ran.trace and ran.killed else ""
        self.log.append(
            f"run {self.runs} at {self.time.now:%d %H:%M:%S}: {code} {end} {done} {wrote} {run.get('fetched', '')}"
        )
        if ran.killed:
            self.kills[ran.trace[-1] if ran.trace else "before the first"] += 1
        return ran

    def run(self, *words: str, **how: Any) -> Ran:
        return self.end(self.start(*(words or ("sync", "--apply", "--json")), **how))

    def night(self) -> None:
        """The ERP loads what waits for it and exports."""
        self.log.append("night")
        report = self.erp.load_outbox(self.folder / "erp" / "outbox")
        assert not report.refused, report.refused
        if report.rejected:
            self.log.append(f"rejected: {report.rejected}")
        for old in (self.folder / "erp" / "export").glob("*"):
            old.unlink()
        self.erp.export(self.folder / "erp" / "export", LATE, layouts=LAYOUTS)

    def audit(self) -> list[str]:
        """What is wrong with the audit chain."""
        from tieout.sync.store import open_store

        state = self.state if "postgresql" in self.state else f"sqlite:///{self.folder / 'tieout.db'}"
        store = open_store(state, clock=self.time)
        try:
            return log_breaks(store)
        finally:
            store.close()


@contextmanager
def world(
    folder: Path, launcher: Launcher, seed: str, state: str = "sqlite:///tieout.db", **switches: Any
) -> Iterator[World]:
    """Books of both sides with some business in them, configured and signed in; the state database is not there yet."""
    chance = random.Random(seed)
    clock = Time()
    settings = {"auto_apply_credit": False, "custom_txn_numbers": True, "rotate_refresh": "every_call", **switches}
    with running(Books("empty", Switches(**settings), clock)) as site:
        erp = FileErp(folder=folder / "erp", clock=clock)
        (folder / "erp" / "outbox").mkdir(parents=True)
        people = People(chance, erp, site.books)
        made = World(folder, site, erp, people, launcher, clock, chance, state)
        people.tell = made.log.append
        made.configure()
        people.begin()
        made.night()
        _sign_in(made)
        yield made


def _sign_in(made: World) -> None:
    """As `tieout connect` keeps it."""
    env = {"QBO_SECRET": made.site.client_secret}
    signed = here(made.folder, "connect", "quickbooks", "--token-stdin", env=env, stdin=made.site.refresh_token)
    assert signed.returncode == 0, signed.stderr
