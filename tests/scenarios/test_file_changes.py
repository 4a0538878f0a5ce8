"""What is changed, re-applied or voided elsewhere reaches a file ERP's books by its import, and is never sent twice."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.deep import DEEP
from tests.scenarios.test_files import FileWorld
from tests.scenarios.test_quickbooks import EVERYTHING
from tests.scenarios.world import DAY, credit_memo, customer, invoice, payment
from tests.unit.connectors.test_outbox import Died, Dying
from tieout.connectors.tabular.outbox import Outbox
from tieout.errors import RefusedError
from tieout.model import Entity, PostingState
from tieout.sandbox.file_erp import Document
from tieout.sync.review import decisions, differences
from tieout.sync.store import open_store

D = Decimal
LATE = date(2026, 12, 31)
LAYOUTS = ("sap-fbl5n-en", "plain")


class Changing(FileWorld):
    """A file ERP and books with keys, with what was born in these already in both."""

    def __init__(self, folder: Path, layout: str = "sap-fbl5n-en", **pair: Any) -> None:
        super().__init__(folder, layout, unattended=EVERYTHING, **pair)
        self.ada = self.books.books.put(customer("Ada Ltd")).ref.id
        self.handed = 0

    def night(self) -> Any:
        """A run, the ERP's import and export, and the run that sees what became of it."""
        self.run()
        self.exchange()
        return self.run()

    def exchange(self) -> None:
        self.load()
        self.export()

    def begin(self) -> None:
        self.export()
        for _ in range(4):
            self.night()
        self.handed = self.files()

    def files(self) -> int:
        return len(list((self.folder / "outbox").glob("*.manifest.json")))

    def sap_of(self, number: str) -> Document:
        """The ERP's document of that number or reference."""
        [found] = [d for d in self.erp.books.documents.values() if number in (d.number, d.reference)]
        return found

    def open(self, number: str) -> Decimal:
        return self.erp.books.open(self.sap_of(number).number, LATE)

    def quiet(self) -> None:
        before, files = self.erp.books.as_json(), self.files()
        report = self.run()
        assert report.operations == []
        assert [d.as_json() for d in report.discrepancies] == []
        assert (self.erp.books.as_json(), self.files()) == (before, files)
        assert self.erp.books.receivables(LATE) == self.books.books.receivables(LATE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_part_paid_re_applied_and_voided_elsewhere(tmp_path: Path, layout: str) -> None:
    w = Changing(tmp_path, layout)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    two = books.put(invoice(w.ada, "80.00", number="Q-2")).ref.id
    pay = books.put(payment(w.ada, "40.00", on=((one, "40.00"),), reference="chk 9")).ref.id
    w.begin()
    assert (w.open("Q-1"), w.open("Q-2"), w.open("chk 9")) == (60, 80, 0)
    w.quiet()
    books.unapply(pay, one, DAY)
    books.apply(pay, two, D("40.00"), DAY)
    w.night()
    assert (w.open("Q-1"), w.open("Q-2"), w.open("chk 9")) == (100, 40, 0)
    w.quiet()
    books.void(Entity.INVOICE, one, DAY)
    w.night()
    assert w.sap_of("Q-1").reversed_on == DAY
    assert (w.open("Q-2"), w.erp.books.receivables(LATE)) == (40, {"USD": D("40.00")})
    w.quiet()
    assert w.files() == w.handed + 2  # one hand-over for each, and never a second


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_payment_and_a_credit_memo_that_are_applied_later(tmp_path: Path, layout: str) -> None:
    w = Changing(tmp_path, layout)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    pay = books.put(payment(w.ada, "40.00", reference="chk 9")).ref.id
    memo = books.put(credit_memo(w.ada, "30.00", number="C-1")).ref.id
    w.begin()
    assert (w.open("Q-1"), w.open("chk 9"), w.open("C-1")) == (100, 40, 30)
    books.apply(pay, one, D("25.00"), DAY)
    books.apply(memo, one, D("30.00"), DAY)
    w.night()
    assert (w.open("Q-1"), w.open("chk 9"), w.open("C-1")) == (45, 15, 0)
    w.quiet()
    books.apply(pay, one, D("15.00"), DAY)
    w.night()
    assert (w.open("Q-1"), w.open("chk 9")) == (30, 0)
    w.quiet()


def test_what_sap_clears_reaches_the_other_side(tmp_path: Path) -> None:
    """Born in SAP, applied there later: by reference, and taken back again."""
    w = Changing(tmp_path)
    ada = w.erp.books.enter_customer("Eve AG")
    one = w.erp.books.enter_invoice(ada, "60.00", on=DAY, reference="S-1")
    memo = w.erp.books.enter_credit_memo(ada, "20.00", on=DAY, reference="SC-1")
    pay = w.erp.books.enter_payment(ada, "50.00", on=DAY, reference="wire 1")
    w.begin()
    [mirror] = [i for i in w.books.books.all(Entity.INVOICE) if i.number == "S-1"]
    assert w.books.books.open(Entity.INVOICE, mirror.ref.id) == D("60.00")
    w.erp.books.apply(pay, one, "40.00", on=DAY)
    w.erp.books.apply(memo, one, "20.00", on=DAY)
    w.export()
    w.run()
    assert w.books.books.open(Entity.INVOICE, mirror.ref.id) == 0
    w.quiet()
    w.erp.books.reset(pay, one, "40.00")
    w.export()
    w.run()
    assert w.books.books.open(Entity.INVOICE, mirror.ref.id) == D("40.00")
    w.quiet()


def test_a_change_that_the_layout_cannot_carry_stays_a_persons_work(tmp_path: Path) -> None:
    w = Changing(tmp_path)
    one = w.books.books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    w.begin()
    w.books.books.edit(Entity.INVOICE, one, total=D("90.00"), subtotal=D("90.00"))
    report = w.run()
    assert report.operations == []
    [d] = [d for d in report.discrepancies if d.delta]
    assert d.delta == D("-10.00")
    assert "takes no such change" in d.cause
    assert w.files() == w.handed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_refused_change_is_pending_then_a_persons_and_never_sent_again_by_itself(tmp_path: Path, layout: str) -> None:
    w = Changing(tmp_path, layout)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    pay = books.put(payment(w.ada, "40.00", reference="chk 9")).ref.id
    w.begin()
    books.apply(pay, one, D("40.00"), DAY)
    w.run()
    w.erp.misbehave(reject=1)
    w.exchange()
    w.erp.misbehave(reject=0)
    for _ in range(3):
        report = w.run()
        assert report.operations == []
    assert w.files() == w.handed + 1
    assert w.open("chk 9") == D("40.00")
    [found] = [d for d in report.discrepancies if "no export shows the change yet" in d.cause]
    assert (found.secondary, found.remedy[:8]) == ((), "none yet")  # not: apply it by hand, while a file is on its way
    w.clock.tick(6 * 86400)
    report = w.run()
    assert report.exit_code == 4
    [found] = differences.listed(w.store)
    assert (found["code"], found["cause"].split(":")[0]) == ("UNAPPLIED_CASH", "no_acknowledgement")
    assert found["secondary"] == ["UNCERTAIN_WRITE"]
    assert "`recreate`" in found["remedy"]
    assert found["remedy"].endswith("; or apply it, or take the application back")
    with pytest.raises(RefusedError, match="handed over"):
        decisions.decide(w.store, found["id"], action="retry", by="Grace", reason="refused there")
    decisions.decide(w.store, found["id"], action="recreate", by="Grace", reason="refused there")
    w.night()
    assert w.open("chk 9") == 0
    w.quiet()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_change_that_an_export_shows_otherwise_is_named(tmp_path: Path, layout: str) -> None:
    w = Changing(tmp_path, layout)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    pay = books.put(payment(w.ada, "40.00", reference="chk 9")).ref.id
    w.begin()
    books.apply(pay, one, D("40.00"), DAY)
    w.run()
    w.erp.misbehave(change_amount=D("-1.00"))
    w.exchange()
    w.erp.misbehave(change_amount=D("0"))
    for _ in range(2):
        report = w.run()
        assert report.exit_code == 4
        assert [d for d in report.discrepancies if "readback_mismatch" in d.cause and "39" in d.cause]
    assert w.files() == w.handed + 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_changes_that_is_loaded_twice_changes_once(tmp_path: Path, layout: str) -> None:
    w = Changing(tmp_path, layout)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    two = books.put(invoice(w.ada, "50.00", number="Q-2")).ref.id
    pay = books.put(payment(w.ada, "40.00", on=((one, "40.00"),), reference="chk 9")).ref.id
    w.begin()
    books.unapply(pay, one, DAY)
    books.apply(pay, two, D("40.00"), DAY)
    w.run()
    w.erp.misbehave(duplicate_delivery=True)
    w.exchange()
    w.erp.misbehave(duplicate_delivery=False)
    w.run()
    assert (w.open("Q-1"), w.open("Q-2")) == (100, 10)
    w.quiet()


def test_a_hand_over_of_changes_says_what_it_holds(tmp_path: Path) -> None:
    w = Changing(tmp_path)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    two = books.put(invoice(w.ada, "80.00", number="Q-2")).ref.id
    pay = books.put(payment(w.ada, "40.00", on=((one, "40.00"),), reference="chk 9")).ref.id
    w.begin()
    books.unapply(pay, one, DAY)
    books.apply(pay, two, D("25.00"), date(2026, 1, 25))
    w.run()
    manifest = json.loads(max((tmp_path / "outbox").glob("*.manifest.json")).read_text("utf-8"))
    assert (manifest["entity"], manifest["operation"], manifest["layout"]) == (
        "payment",
        "apply",
        "import-sap-clearing",
    )
    assert (manifest["records"], manifest["rows"], manifest["control_totals"]) == (1, 2, {"USD": "-15.00"})
    rows = list(csv.DictReader((tmp_path / "outbox" / manifest["file"]).open(encoding="utf-8"), delimiter=";"))
    sap, first, second = (w.sap_of(n).number for n in ("chk 9", "Q-1", "Q-2"))
    assert [(r["DOC_NO"], r["ACTION"], r["INV_REF"], r["AMOUNT"], r["PSTNG_DATE"]) for r in rows] == [
        (sap, "RESET", first, "-40.00", ""),
        (sap, "APPLY", second, "25.00", "20260125"),
    ]


@pytest.fixture(scope="module")
def handing_over(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Changing]:
    """The world with changes to hand over, each time as of then: its folder, its state and its books are copies."""
    folder = tmp_path_factory.mktemp("world")
    w = Changing(folder)
    books = w.books.books
    one = books.put(invoice(w.ada, "100.00", number="Q-1")).ref.id
    two = books.put(invoice(w.ada, "80.00", number="Q-2")).ref.id
    pay = books.put(payment(w.ada, "40.00", on=((one, "40.00"),), reference="chk 9")).ref.id
    w.begin()
    books.unapply(pay, one, DAY)
    books.apply(pay, two, D("40.00"), DAY)
    books.void(Entity.INVOICE, one, DAY)
    kept = shutil.copytree(folder, tmp_path_factory.mktemp("kept") / "world")

    def again() -> Changing:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        store = open_store("sqlite://", clock=w.clock)
        w.store.engine.raw_connection().driver_connection.backup(store.engine.raw_connection().driver_connection)
        copied = deepcopy(w, {id(w.store): store})
        store.clock = copied.clock
        return copied

    return again


@pytest.mark.parametrize("step", range(1, 14) if DEEP else range(1, 14, 2))
def test_a_crash_at_any_step_of_a_hand_over_of_changes(handing_over: Callable[[], Changing], step: int) -> None:
    """The disk dies at one of the twelve steps of two files; the next process goes on, and the ERP is told once."""
    w = handing_over()
    assert w.files() == w.handed
    outbox = w.sap._outbox
    how = ("before", "half", "after")[step % 3]
    w.sap._outbox = Outbox(w.folder / "outbox", clock=w.clock, files=Dying(step, how))
    with pytest.raises(Died) if step <= 12 else nullcontext():
        w.run()
    w.sap._outbox = outbox
    w.clock.tick(400)
    for _ in range(2):
        w.night()
    assert (w.open("Q-2"), w.sap_of("Q-1").reversed_on) == (40, DAY)
    w.quiet()
    done = [e for e in w.erp.books.effects if e["what"] in ("reset", "applied", "reversed")]
    assert [e["what"] for e in done] == ["reset", "applied", "reversed"]
    assert w.files() == w.handed + 2
    [voided] = [i for i in w.books.books.all(Entity.INVOICE) if i.number == "Q-1"]
    assert voided.state is PostingState.VOIDED
