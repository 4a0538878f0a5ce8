"""The demo's programme: what is done, what tieout says, and that each figure is the promised one.

Nothing here computes a result: every number printed is read from the run's report or from the systems themselves.
A promise that does not hold is printed as such and ends the demo with exit code 5.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tieout import __version__
from tieout.compare.render import to_csv
from tieout.compare.result import Result
from tieout.config.evidence import anchors_of, told
from tieout.connectors import Connector
from tieout.demo.cast import TARGET, Cast
from tieout.demo.sage import Branch, joined
from tieout.demo.stage import COMPANY, MONTH_END, Stage, staged
from tieout.errors import FatalError
from tieout.evidence import anchoring, pack, unpack
from tieout.evidence.verify import read_journals, verify
from tieout.plaintext import money, plain
from tieout.reports.forms import page
from tieout.reports.provenance import beside, provenance, sheet
from tieout.reports.reconciliation import comparison
from tieout.sync.core.facts import canonical
from tieout.sync.core.operations import OpKind
from tieout.sync.engine import Report, sync
from tieout.sync.pair import Pair
from tieout.sync.review import differences, plans

CONTROLLER = "D. Whitfield (controller)"
D = Decimal
FEBRUARY = date(2026, 2, 4)
# What the month end must show, code by code; SAP is the left ledger.
EXPECTED = {
    "SYNC_BLOCKED": D("-12480.00"),
    "PAYMENT_DUPLICATED": D("-3250.00"),
    "CHARGEBACK_NSF": D("1875.00"),
    "TAX_AMOUNT": D("16.00"),
    "WRITEOFF_ONE_SIDE": D("940.00"),
    "CUTOFF": D("-7600.00"),
    "UNAPPLIED_CASH": D("0.00"),
    "VOID_DATE_DIFF": D("0.00"),
}
QUICKBOOKS_TOTAL = D("461811.55")
SAGE_TOTAL = D("12780.00")


@dataclass(slots=True)
class Telling:
    """Prints the story, and keeps what was promised and what came."""

    say: Callable[[str], None]
    kept: list[tuple[str, bool]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        self.say("")
        self.say(title)
        self.say("─" * len(title))

    def promise(self, text: str, held: bool) -> None:
        self.kept.append((text, held))
        self.say(f"  {'✓' if held else '✗'} {text}")

    @property
    def broken(self) -> list[str]:
        return [text for text, held in self.kept if not held]


def run(folder: Path, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Play the whole story in `folder` and return its figures (money as text). Raises FatalError if one is wrong."""
    tell = Telling(say)
    with staged(folder) as stage:
        cast = Cast(stage)
        _opening(cast, tell)
        flowed = _first_sync(stage, tell)
        _events(cast, tell)
        doubled = _lost_answer(stage, cast, tell)
        _closed_period(stage, cast, tell)
        report = _month_end(stage, tell)
        files = _files(stage, report)
        open_ = differences.listed(stage.store, stage.pair.name)
        with joined(stage) as branch:
            doubled += _third_system(stage, cast, branch, tell, flowed)
        _summary(tell, report, flowed, open_, files)
        _look_on(tell, stage, files)
    if tell.broken:
        raise FatalError("the demo did not come out as promised: " + "; ".join(tell.broken))
    return {
        "seconds": round(time.monotonic() - tell.started),
        "flowed": flowed,
        "copies_of_the_lost_document": doubled,
        "promises": [{"promise": text, "kept": held} for text, held in tell.kept],
        "bridge": report.as_json()["bridge"],
        "files": {name: str(path) for name, path in files.items()},
    }


def _sync(stage: Stage, *, apply: bool = True, **kw: Any) -> Report:
    stage.clock.sleep(60)
    return _anchored(stage, stage.connectors, stage.pair, apply=apply, **kw)


def _anchored(stage: Stage, connectors: dict[str, Connector], pair: Pair, **kw: Any) -> Report:
    """One run, with its anchor outside of the database, as `tieout sync` leaves one."""
    anchors = anchors_of(stage.settings)
    known, said = anchors.newest(), told(stage.settings)
    report = sync(stage.store, connectors, pair, heartbeat=False, anchored=known, configured=said, **kw)
    for wrong in anchoring.anchor(stage.store, anchors):
        raise wrong
    return report


def _approved(stage: Stage, report: Report) -> None:
    """The controller reads the plan, and lifts the guards that hold it."""
    if report.plan_id is not None and report.operations:
        plans.approve(stage.store, report.plan_id, by=CONTROLLER, guards=[t.name for t in report.trips])


def _opening(cast: Cast, tell: Telling) -> None:
    cast.opening()
    tell.chapter(f"{COMPANY}: month end {MONTH_END:%d %B %Y}")
    tell.say(f"  SAP (FBL5N exports, import files)   {cast.entered['sap']:>4} documents entered by its clerks")
    tell.say(f"  QuickBooks Online (HTTP, OAuth)     {cast.entered['quickbooks']:>4} documents entered by its clerks")


def _first_sync(stage: Stage, tell: Telling) -> dict[str, dict[str, int]]:
    """Everything flows both ways; what goes to SAP needs its own import and export jobs in between."""
    tell.chapter("1  Everything flows, both ways")
    stage.export(MONTH_END)
    report = _sync(stage)
    create = sum(o.op is OpKind.CREATE for o in report.operations)
    apply = len(report.operations) - create
    tell.say(f"  plan {report.plan_id}: {create} documents to create, {apply} credits to apply; nothing is written yet")
    for trip in report.trips:
        tell.say(f"  guard {trip.name}: {trip.message}")
    _approved(stage, report)
    tell.say(f"  approved by {CONTROLLER}")
    flowed: dict[str, Counter[str]] = {"to QuickBooks": Counter(), "to SAP": Counter()}
    for _ in range(8):
        report = _sync(stage)
        for written in report.written:
            where = "to QuickBooks" if written["operation"]["connection"] == "quickbooks" else "to SAP"
            entity = written["operation"]["entity"].replace("_", " ")
            created = written["operation"]["op"] == OpKind.CREATE.value
            flowed[where][f"{entity}s" if created else f"{entity}s applied"] += 1
        if not report.operations and not report.applied["done"] and not report.applied["pending"]:
            break
        loaded = stage.load()
        if loaded.booked:
            tell.say(f"  SAP loaded {len(loaded.booked)} records from the outbox and exports again")
        stage.export(MONTH_END)
    for where, counts in flowed.items():
        listed = ", ".join(f"{n} {what}" for what, n in counts.items())
        tell.say(f"  {where:<14} {listed}")
    tell.promise("a second run plans nothing", not _sync(stage).operations)
    return {where: dict(counts) for where, counts in flowed.items()}


def _events(cast: Cast, tell: Telling) -> None:
    tell.chapter("2  Then January ends as months do")
    for line in cast.events():
        tell.say(f"  · {line}")


def _lost_answer(stage: Stage, cast: Cast, tell: Telling) -> int:
    """QuickBooks stores a document and its answer never arrives."""
    tell.chapter("3  An answer is lost after the commit")
    cast.late()
    stage.export(MONTH_END)
    report = _sync(stage)
    _approved(stage, report)
    stage.server.faults.arm("drop", when="after", method="POST", path=r"/invoice$", contains="AR26402")
    report = _sync(stage)
    tell.say(f"  first run:  {report.applied['unknown']} outcome unknown; nothing is sent again on a guess")
    unknown = report.applied["unknown"]
    stage.clock.sleep(120)
    report = _sync(stage)
    copies = [d for d in stage.quickbooks.all("Invoice") if d.get("DocNumber") == "AR26402"]
    tell.say(f"  next run:   settled with the same key; QuickBooks holds {len(copies)} such invoice")
    tell.promise("one document, not two", unknown == 1 and len(copies) == 1)
    return len(copies)


def _closed_period(stage: Stage, cast: Cast, tell: Telling) -> None:
    tell.chapter("4  A write into a closed period")
    cast.backdated()
    stage.export(MONTH_END)
    report = _sync(stage)
    refused = [d for d in report.discrepancies if d.code == "PERIOD_LOCKED"]
    for d in refused:
        tell.say(f"  refused: {d.left_label or d.left}: {d.cause.split(';')[0]}")
    tell.promise(
        "it is refused before a byte is sent, and never re-dated", len(refused) == 1 and not report.applied["done"]
    )
    cast.corrected()
    stage.export(MONTH_END)
    _approved(stage, _sync(stage))
    _sync(stage)
    tell.say("  the clerk reverses it and enters it in January; it flows")


def _month_end(stage: Stage, tell: Telling) -> Report:
    tell.chapter(f"5  The bridge as of {MONTH_END}")
    stage.export(MONTH_END)
    stage.clock.sleep(timedelta(days=1).total_seconds())
    stage.pair = replace(stage.pair, as_of=MONTH_END)
    report = _sync(stage, sweep=True)
    bridge = report.as_json()["bridge"]["USD"]
    tell.say(f"  {'SAP open receivables':<64}{money(bridge['left_total']):>14}")
    causes = {d.code: d for d in report.discrepancies}
    for line in bridge["lines"]:
        named = _CAUSES.get(line["code"], causes[line["code"]].cause if line["code"] in causes else "")
        tell.say(f"    {line['code']:<20} {named:<41}{money(line['delta']):>14}")
    tell.say(f"  {'QuickBooks open receivables':<64}{money(bridge['right_total']):>14}")
    tell.say(f"  {'remainder':<64}{money(bridge['remainder']):>14}")
    lines = {line["code"]: D(line["delta"]) for line in bridge["lines"]}
    zero = {d.code for d in report.discrepancies if not d.delta}
    tell.promise(f"SAP {TARGET:,}", D(bridge["left_total"]) == TARGET)
    tell.promise(f"QuickBooks {QUICKBOOKS_TOTAL:,}", D(bridge["right_total"]) == QUICKBOOKS_TOTAL)
    for code, delta in EXPECTED.items():
        tell.promise(f"{code} {delta:+,}", lines.get(code, D("0.00") if code in zero else None) == delta)
    others = sorted({d.code for d in report.discrepancies} - set(EXPECTED))
    tell.promise("nothing else differs" + (f" (found: {', '.join(others)})" if others else ""), not others)
    tell.promise("remainder 0.00", D(bridge["remainder"]) == 0)
    again = _sync(stage)
    tell.promise("a second run plans nothing", not again.operations)
    _evidence(stage, report, tell)
    return report


def _evidence(stage: Stage, report: Report, tell: Telling) -> None:
    """The log is held against its anchors, and the pack of the run against nothing but the key."""
    anchors = anchors_of(stage.settings)
    public = anchors.signer.public
    journals = read_journals(anchors.paths, {public.id: public})
    tell.promise("the audit log is what was anchored, and the books' state what it says",
                 verify(stage.store, journals).verdict == "intact")  # fmt: skip
    (stage.folder / "auditor.pem").write_text(public.pem(), "ascii")
    path = stage.folder / "month-end.zip"
    with path.open("wb") as target:
        pack.write(target, stage.store, journals, anchors.signer, run=report.run, company=COMPANY)
    with path.open("rb") as body:
        found = unpack.verify(body, name=path.name, keys=[public])
    tell.promise(f"the run's pack proves itself, {len(found.parts)} parts of it", found.exit_code == 0)


_CAUSES = {
    "SYNC_BLOCKED": "invoice under unmapped tax code R9",
    "PAYMENT_DUPLICATED": "ACH receipt entered twice",
    "CHARGEBACK_NSF": "returned check, paid in SAP",
    "TAX_AMOUNT": "8.25 % against 8.00 % on 6,400.00",
    "WRITEOFF_ONE_SIDE": "written off in SAP only",
    "CUTOFF": "dated 31 January against 1 February",
    "UNAPPLIED_CASH": "4,200.00 applied in SAP only",
    "VOID_DATE_DIFF": "voided in December, credited in January",
}


def _third_system(stage: Stage, cast: Cast, branch: Branch, tell: Telling, flowed: dict[str, dict[str, int]]) -> int:
    """Sage X3 is paired with QuickBooks, which stays paired with SAP: each document is in each system once."""
    tell.chapter("6  A third system joins: Sage X3, over SOAP")
    stage.pair = replace(stage.pair, as_of=None)
    first = branch.invoice(branch.customer("Zephyr Clinics"), D("1480.00"), "20260203")
    cast.february()
    tell.say("  X3 bills 1,480.00, the web shop 640.00 (WEB-2301), SAP 3,300.00 (AR26501), all in February;")
    tell.say("  the 7,600.00 that QuickBooks re-dated to 1 February belong to it as well")
    sent = Counter[str]()
    branch.live.faults.arm("drop", when="after", operation="save", entity="WSSIH", contains="AR26501")
    unknown = _both(stage, branch, sent)
    tell.say(f"  an answer of X3 is lost after the commit: {unknown} outcome unknown, nothing is sent again on a guess")
    stage.clock.sleep(900)
    _both(stage, branch, sent)
    paid = branch.payment("WEB-2301", D("240.00"), "20260204")
    tell.say(f"  the next run finds the document by its reference; then X3 takes 240.00 on WEB-2301 ({paid})")
    for _ in range(3):
        _both(stage, branch, sent)
    flowed |= {"between QuickBooks and X3": dict(sent)}
    for number in (first, "WEB-2301", "AR26501"):
        at = _copies(stage, branch, number)
        tell.promise(f"{number} stands once in SAP, QuickBooks and X3", at == (1, 1, 1))
    copies = branch.copies("AR26501")
    tell.promise("one document in X3, not two", unknown == 1 and copies == 1)
    before = len(branch.books.effects), len(stage.sap.books.documents)
    reports = _reports(stage, branch)
    tell.promise("a second run of both pairs plans nothing", not any(r.operations for r in reports))
    after = len(branch.books.effects), len(stage.sap.books.documents)
    tell.promise("nothing comes back to where it came from", before == after)
    _branch_bridge(branch, tell, reports[1].as_json()["bridge"]["USD"])
    return copies


def _branch_bridge(branch: Branch, tell: Telling, bridge: dict[str, Any]) -> None:
    tell.say(f"  {'QuickBooks open receivables':<64}{money(bridge['left_total']):>14}")
    for line in bridge["lines"]:
        named = f"{line['count']} documents from before the cut-over"
        tell.say(f"    {line['code']:<20} {named:<41}{money(line['delta']):>14}")
    tell.say(f"  {'Sage X3 open receivables':<64}{money(bridge['right_total']):>14}")
    tell.say(f"  {'remainder':<64}{money(bridge['remainder']):>14}")
    tell.promise(f"Sage X3 {SAGE_TOTAL:,}", D(bridge["right_total"]) == branch.receivables() == SAGE_TOTAL)
    tell.promise("remainder 0.00", D(bridge["remainder"]) == 0)


def _both(stage: Stage, branch: Branch, sent: Counter[str]) -> int:
    """One evening: SAP exports, both pairs run, what they plan is approved and done, SAP loads. Returns unknowns."""
    unknown = 0
    stage.export(FEBRUARY)
    for pair in (stage.pair, branch.pair):
        report = _run(stage, branch, pair)
        if report.waiting:
            _approved(stage, report)
            report = _run(stage, branch, pair)
        unknown += report.applied["unknown"]
        if pair is branch.pair:
            sent.update(written["operation"]["entity"] for written in report.written)
    stage.load()
    return unknown


def _reports(stage: Stage, branch: Branch) -> tuple[Report, Report]:
    stage.export(FEBRUARY)
    return _run(stage, branch, stage.pair), _run(stage, branch, branch.pair)


def _run(stage: Stage, branch: Branch, pair: Pair) -> Report:
    stage.clock.sleep(60)
    connectors = {**stage.connectors, **branch.connectors}
    return _anchored(stage, {n: connectors[n] for n in (pair.left, pair.right)}, pair, apply=True)


def _copies(stage: Stage, branch: Branch, number: str) -> tuple[int, int, int]:
    """How often a document stands in SAP, in QuickBooks and in X3."""
    sap = sum(number in (d.reference, d.number) for d in stage.sap.books.documents.values())
    shop = sum(d.get("DocNumber") == number for d in stage.quickbooks.all("Invoice"))
    return sap, shop, branch.copies(number)


def _files(stage: Stage, report: Report) -> dict[str, Path]:
    assert report.comparison is not None
    folder = stage.folder
    out = {
        "report": folder / "month-end.html",
        "discrepancies": folder / "discrepancies.csv",
        "run": folder / "run.json",
        "evidence": folder / "month-end.zip",
        "its key": folder / "auditor.pem",
    }
    said = {
        "read": "SAP from its FBL5N exports, QuickBooks over HTTP (both stand-ins, on sample books)",
        "records read": {where: {str(k): n for k, n in counts.items()} for where, counts in report.fetched.items()},
        "as known on": stage.clock().isoformat(timespec="minutes"),
        "run": report.run,
        "program": f"tieout {__version__}",
    }
    shown = comparison.report(report.comparison, title="Month end: SAP and QuickBooks", said=said)
    out["report"].write_text(page.write(shown), "utf-8")
    _export(stage, report.comparison, out["discrepancies"], said)
    out["run"].write_text(canonical(report.as_json()), "utf-8")
    return out | {
        "state": folder / "state.db",
        "configuration": folder / "tieout.toml",
        "outbox": folder / "sap" / "import",
    }


def _export(stage: Stage, found: Result, path: Path, read: dict[str, Any]) -> None:
    """The differences as CSV, and beside them where they come from, as `tieout discrepancies export` writes both."""
    body = to_csv(found).encode("utf-8-sig")
    path.write_bytes(body)
    bridge = {c: b["remainder"] for c, b in found.as_json()["bridge"].items()}
    made = sheet(path, body, len(found.discrepancies), bridge_remainder=bridge)
    asked = {"pair": stage.pair.name, "as_of": found.as_of, "states": "all but closed"}
    said = provenance("state.db", asked, at=stage.clock(), by=f"{CONTROLLER}, in tieout demo")
    beside(path).write_text(canonical(made | said | {"read": read}) + "\n", "utf-8")


def _summary(
    tell: Telling,
    report: Report,
    flowed: dict[str, dict[str, int]],
    open_: list[dict[str, Any]],
    files: dict[str, Path],
) -> None:
    tell.chapter("In short")
    for where, counts in flowed.items():
        made = sum(n for what, n in counts.items() if not what.endswith("applied"))
        tell.say(f"  flowed {where:<14} {made:>4} records")
    tell.say(f"  did not flow, or differs  {len(open_):>4} discrepancies, each with its cause and what to do next:")
    for d in open_:
        tell.say(f"    {d['code']:<20} {money(d['delta']):>12}  {plain(d['cause'], 90)}")
    tell.say(f"  remainder {money(report.as_json()['bridge']['USD']['remainder'])}")
    tell.say("  files:")
    for name, path in files.items():
        tell.say(f"    {name:<14} {path}")


def _look_on(tell: Telling, stage: Stage, files: dict[str, Path]) -> None:
    """Commands for what the demo leaves. Its systems have ended, so reports are of what tieout had read of them."""
    known = f"--as-of {MONTH_END} --known-on {stage.clock():%Y-%m-%d} --config {files['configuration']}"
    tell.say("  to look on:")
    tell.say(f"    tieout discrepancies list {stage.pair.name} --config {files['configuration']}")
    tell.say("      of all dates: CUTOFF is a DATE_DIFF there, which moves nothing since 1 February; as of 31 January:")
    tell.say(f"    tieout report bridge --pair {stage.pair.name} {known}")
    tell.say(f"    tieout report aging --pair {stage.pair.name} {known}")
    tell.say(f"    tieout report checklist --pair {stage.pair.name} {known}")
    tell.say(f"    tieout evidence verify {files['evidence']} --key {files['its key']}")
