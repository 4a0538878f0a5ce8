"""The connector of ERPs that speak in files, against the file ERP: what it reads, refuses, writes and never repeats."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.connectors.test_outbox import Died, Dying
from tieout.connectors import Connector, Op, Strategy
from tieout.connectors.tabular import TabularConnector, open_tabular
from tieout.connectors.tabular.outbox import Disk
from tieout.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
)
from tieout.model import (
    ZERO,
    Address,
    AnyRecord,
    Application,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Method,
    Payment,
    PostingState,
    Ref,
)
from tieout.sandbox.file_erp import Books, FileErp

NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
JAN = date(2026, 1, 15)
END = date(2026, 1, 31)
PLAIN = ("customers", "documents", "payments")
PLAIN_IMPORTS = {
    "customer": "import-customers",
    "invoice": "import-documents",
    "credit_memo": "import-documents",
    "payment": "import-payments",
}
SAP = ("customers", "sap-fbl5n-en")
SAP_IMPORTS = {"customer": "import-customers"} | dict.fromkeys(
    ("invoice", "credit_memo", "payment"), "import-sap-posting"
)


@dataclass
class World:
    """An ERP, its folders, and a connector on them."""

    folder: Path
    layouts: tuple[str, ...] = PLAIN
    imports: dict[str, str] = field(default_factory=lambda: dict(PLAIN_IMPORTS))
    erp: FileErp = field(init=False)

    def __post_init__(self) -> None:
        books = Books(company_code="1000")
        books.enter_customer("Nordlicht GmbH", account="200001")
        self.erp = FileErp(books, clock=lambda: NOW)
        self.outbox.mkdir(parents=True)

    @property
    def books(self) -> Books:
        return self.erp.books

    @property
    def outbox(self) -> Path:
        return self.folder / "outbox"

    @property
    def dropped(self) -> Path:
        return self.folder / "export"

    def open(self, **more: Any) -> TabularConnector:
        stems = {"sap-fbl5n-en": "fbl5n", "sap-fbl5n-de": "fbl5n"}
        options: dict[str, Any] = {
            "folder": self.dropped,
            "outbox": self.outbox,
            "currency": "USD",
            "company": {"id": "1000", "name": "Falke Tools"},
            "entity_code": "1000",
            "exports": [{"glob": f"{stems.get(n, n)}*", "profile": n} for n in self.layouts],
            "imports": self.imports,
        }
        files = more.pop("files", None)
        return open_tabular("erp", settings=options | more, secrets=None, clock=lambda: NOW, files=files)

    def export(self, as_of: date = END, **more: Any) -> list[Path]:
        return self.erp.export(self.dropped, as_of, layouts=self.layouts, **more)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def found(connector: Connector, entity: Entity) -> dict[str, Any]:
    return {o.id: o.record for o in connector.pull(entity)}


def invoice(number: str | None = "Q-1", total: str = "108.25", tax: str = "8.25", **more: Any) -> Invoice:
    return Invoice(
        **{
            "ref": Ref(connection="erp", id="", number=number, version=None),
            "customer": "200001",
            "payer": None,
            "entity_code": None,
            "ar_account": None,
            "number": number,
            "issued": JAN,
            "posted": JAN,
            "due": date(2026, 2, 14),
            "currency": "USD",
            "exchange_rate": None,
            "lines": (),
            "tax_lines": (),
            "subtotal": Decimal(total) - Decimal(tax),
            "discount": ZERO,
            "tax": Decimal(tax),
            "total": Decimal(total),
            "deposit_applied": ZERO,
            "po_number": None,
            "memo": None,
            "disputed": False,
            "reported_open": None,
            "state": PostingState.POSTED,
            "voided_on": None,
            **more,
        }
    )


def credit_memo(number: str, total: str, applied: dict[str, str] | None = None, **more: Any) -> CreditMemo:
    base = invoice(number, total, "0.00").model_dump()
    for name in ("due", "deposit_applied", "po_number", "disputed", "instalments", "settled_on"):
        del base[name]
    return CreditMemo(**base | {"original_invoice": None, "reason": None, "applications": applications(applied)} | more)


def applications(applied: dict[str, str] | None) -> tuple[Application, ...]:
    pairs = (applied or {}).items()
    return tuple(Application(invoice=i, amount=Decimal(a), amount_invoice=Decimal(a), applied_on=JAN) for i, a in pairs)


def payment(amount: str, applied: dict[str, str] | None = None, **more: Any) -> Payment:
    return Payment(
        **{
            "ref": Ref(connection="erp", id="", number=None, version=None),
            "customer": "200001",
            "payer": None,
            "entity_code": None,
            "ar_account": None,
            "reference": "CHK 7",
            "received": JAN,
            "posted": JAN,
            "method": Method.CHECK,
            "amount": Decimal(amount),
            "currency": "USD",
            "exchange_rate": None,
            "applications": applications(applied),
            "reported_unapplied": None,
            "deposit_to": None,
            "memo": None,
            "state": PostingState.POSTED,
            "voided_on": None,
            **more,
        }
    )


def customer(name: str = "Süd & Co", **more: Any) -> Customer:
    blank = dict.fromkeys(("number", "email", "phone", "billing_address", "currency", "terms", "tax_id", "parent"))
    ref = Ref(connection="erp", id="", number=None, version=None)
    return Customer(**blank | {"ref": ref, "name": name, "active": True, "reported_balance": None} | more)


# -- reading


def test_what_the_erp_holds_is_read_by_kind(world: World) -> None:
    one = world.books.enter_invoice("200001", "100.00", on=JAN, tax="8.25", tax_code="A1")
    credit = world.books.enter_credit_memo("200001", "10.00", on=JAN, applications={one: "10.00"})
    paid = world.books.enter_payment("200001", "60.00", on=END, applications={one: "50.00"}, reference="CHK 7")
    off = world.books.write_off(one, "1.25", on=END)
    world.export()
    connector = world.open()
    company = connector.company()
    assert (company.id, company.home_currency, company.entity_codes) == ("1000", "USD", ("1000",))
    assert connector.capabilities.reads == set(Entity)
    assert set(found(connector, Entity.CUSTOMER)) == {"200001"}
    assert found(connector, Entity.INVOICE)[one].total == Decimal("108.25")
    assert found(connector, Entity.INVOICE)[one].reported_open == Decimal("47.00")
    assert found(connector, Entity.CREDIT_MEMO)[credit].applications[0].invoice == one
    read = found(connector, Entity.PAYMENT)[paid]
    assert (read.amount, read.reference, read.reported_unapplied) == (Decimal("60.00"), "CHK 7", Decimal("10.00"))
    assert [(a.invoice, a.amount) for a in read.applications] == [(one, Decimal("50.00"))]
    assert found(connector, Entity.ADJUSTMENT)[off].document == one
    pull = connector.pull(Entity.INVOICE)
    assert list(pull)
    assert (pull.complete, pull.full, pull.as_of, pull.scope) == (True, True, END, "all")
    assert pull.proof["by"] == ["export_2026-01-31_0001.manifest.json"]
    assert all("sha256:" in s for s in pull.sources)


def test_a_reversed_document_is_read_as_voided(world: World) -> None:
    gone = world.books.enter_invoice("200001", "100.00", on=JAN)
    world.books.reverse(gone, on=date(2026, 1, 20))
    world.export()
    read = found(world.open(), Entity.INVOICE)[gone]
    assert (read.state, read.voided_on) == (PostingState.VOIDED, date(2026, 1, 20))


@pytest.mark.parametrize("text", ['x;"', '"', 'a,"b', "a;b\\", '""', "'"])
def test_quotes_and_delimiters_in_text_are_just_text(world: World, text: str) -> None:
    number = world.books.enter_invoice("200001", "100.00", on=JAN, text=text)
    world.export()
    assert found(world.open(), Entity.INVOICE)[number].memo == text


def test_a_round_reads_one_set_even_if_a_newer_one_arrives_meanwhile(world: World) -> None:
    world.export()
    connector = world.open()
    connector.company()
    assert len(found(connector, Entity.CUSTOMER)) == 1
    late = world.books.enter_invoice("200001", "1.00", on=JAN)
    world.export()
    assert late not in found(connector, Entity.INVOICE)
    connector.company()
    assert late in found(connector, Entity.INVOICE)


def test_the_newest_as_of_wins_and_an_older_late_one_is_ignored(world: World) -> None:
    world.books.enter_invoice("200001", "1.00", on=JAN)
    world.export()
    world.erp.misbehave(late_export=20)
    world.export()
    pull = world.open().pull(Entity.INVOICE)
    assert len(list(pull)) == 1
    assert pull.as_of == END


def test_the_erps_files_are_left_as_they_are(world: World) -> None:
    world.books.enter_invoice("200001", "1.00", on=JAN)
    before = {p: p.read_bytes() for p in world.export()}
    connector = world.open()
    connector.company()
    found(connector, Entity.INVOICE)
    connector.create(invoice(), key="K1", marker="TO1")
    connector.flush(run="r1")
    assert {p: p.read_bytes() for p in world.dropped.iterdir()} == before


# -- what is not finished, or does not fit together


def test_a_set_short_of_its_manifest_is_never_complete(world: World) -> None:
    for _ in range(3):
        world.books.enter_invoice("200001", "10.00", on=JAN)
    world.erp.misbehave(partial_export=1)
    world.export()
    connector = world.open()
    pull = connector.pull(Entity.INVOICE)
    assert len(list(pull)) == 2
    assert not pull.complete
    assert "manifest says 3" in " ".join(pull.proof["doubts"])
    with pytest.raises(RetriableError, match="not complete"):
        connector.get(Entity.INVOICE, "90000002")


def test_a_half_written_export_is_not_read(world: World) -> None:
    world.erp.misbehave(half_written=True)
    world.export()
    with pytest.raises(RetriableError, match="after 60 s of rest"):
        world.open().pull(Entity.CUSTOMER)


def test_a_half_written_newer_set_leaves_the_previous_one_in_use(world: World) -> None:
    world.export()
    world.books.enter_invoice("200001", "1.00", on=date(2026, 2, 1))
    paths = world.export(date(2026, 2, 1))
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-7])
    pull = world.open().pull(Entity.INVOICE)
    assert list(pull) == []
    assert pull.as_of == END
    assert "half-written or changed" in pull.proof["passed_over"][0]
    paths[1].write_bytes(whole)
    assert len(list(world.open().pull(Entity.INVOICE))) == 1


def test_a_file_without_manifest_is_read_after_a_minute_of_rest(world: World) -> None:
    world.erp.misbehave(no_manifest=True)
    paths = world.export()
    for rest, readable in ((59, False), (60, True)):
        for path in paths:
            os.utime(path, (NOW.timestamp() - rest,) * 2)
        if readable:
            pull = world.open().pull(Entity.CUSTOMER)
            assert len(list(pull)) == 1
            assert pull.complete
            assert pull.as_of == END
        else:
            with pytest.raises(RetriableError, match="after 60 s of rest"):
                world.open().pull(Entity.CUSTOMER)


def test_a_file_with_a_time_to_come_says_that_the_clocks_differ(world: World) -> None:
    world.erp.misbehave(no_manifest=True)
    for path in world.export():
        os.utime(path, (NOW.timestamp() + 7200,) * 2)
    with pytest.raises(RetriableError, match="bears a time 7,200 s ahead of this machine's clock"):
        world.open().pull(Entity.CUSTOMER)


def test_a_done_file_settles_its_file(world: World) -> None:
    world.erp.misbehave(no_manifest=True)
    for path in world.export():
        path.with_name(path.name + ".done").touch()
    assert len(found(world.open(), Entity.CUSTOMER)) == 1


def test_files_of_different_days_are_no_set(world: World) -> None:
    world.erp.misbehave(no_manifest=True)
    paths = [*world.export(END), *world.export(date(2026, 2, 1))]
    for path in paths:
        os.utime(path, (0, 0))
    next(p for p in paths if p.name.startswith("payments_2026-01-31")).unlink()
    next(p for p in paths if p.name.startswith("documents_2026-02-01")).unlink()
    with pytest.raises(RetriableError, match=r"no file fits 'documents\*' for that day"):
        world.open().pull(Entity.CUSTOMER)


def test_several_undated_files_for_one_glob_are_refused(world: World) -> None:
    world.dropped.mkdir()
    for name in ("documents_a.csv", "documents_b.csv"):
        (world.dropped / name).write_text("kind\n")
    with pytest.raises(ConfigError, match="nothing says which is the newest"):
        world.open(exports=[{"glob": "documents*", "profile": "documents"}]).company()


def test_parts_of_one_export_are_merged_and_a_repeated_record_is_nobodys(world: World) -> None:
    for n in range(3):
        world.books.enter_invoice("200001", f"{n + 1}.00", on=JAN)
    world.erp.misbehave(no_manifest=True)
    paths = world.export()
    head, *rows = paths[1].read_bytes().splitlines(keepends=True)
    changed = rows[1].replace(b"2.00", b"2.50")
    paths[1].write_bytes(head + rows[0] + rows[1])
    (world.dropped / "documents_2026-01-31_part2.csv").write_bytes(head + changed + rows[2])
    for path in world.dropped.iterdir():
        os.utime(path, (0, 0))
    read = found(world.open(), Entity.INVOICE)
    assert list(read) == ["90000000", "90000001", "90000002"]
    assert isinstance(read["90000001"], RecordError)
    assert "2 times" in read["90000001"].reason


def test_an_unreadable_row_is_present_under_its_kind_and_a_nameless_one_spoils_completeness(world: World) -> None:
    for n in range(2):
        world.books.enter_invoice("200001", f"{n + 1}.00", on=JAN)
    world.erp.misbehave(no_manifest=True)
    documents = world.export()[1]
    good = documents.read_bytes()
    for path in world.dropped.iterdir():
        os.utime(path, (0, 0))

    def read(data: bytes) -> tuple[dict[str, Any], bool, dict[str, Any]]:
        documents.write_bytes(data)
        os.utime(documents, (0, 0))
        connector = world.open()
        pull = connector.pull(Entity.INVOICE)
        return {o.id: o.record for o in pull}, pull.complete, found(connector, Entity.CREDIT_MEMO)

    records, complete, credits = read(good.replace(b"2026-01-15", b"2026-13-15", 1))
    assert isinstance(records["90000000"], RecordError)
    assert complete
    assert credits == {}
    records, complete, _ = read(good.replace(b"90000000", b"", 1))
    assert len(records) == 2
    assert not complete


def test_an_unreadable_manifest_does_not_stop_the_older_set(world: World) -> None:
    world.export()
    (world.dropped / "export_2026-02-01_0002.manifest.json").write_text('{"as_of": "2026-0')
    pull = world.open().pull(Entity.CUSTOMER)
    assert len(list(pull)) == 1
    assert "not a readable manifest" in pull.proof["passed_over"][0]


def test_another_companys_export_is_refused(world: World) -> None:
    world.export()
    with pytest.raises(AuthError, match="of company 1000, not 2000"):
        world.open(company={"id": "2000", "name": "Other"}).company()


def test_nothing_there_yet_is_temporary_and_a_missing_folder_is_not(world: World) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        world.open().company()
    world.dropped.mkdir()
    with pytest.raises(RetriableError, match="no file fits"):
        world.open().company()


def test_get_and_search_look_in_the_newest_set(world: World) -> None:
    number = world.books.enter_invoice("200001", "5.00", on=JAN)
    world.export()
    connector = world.open()
    assert connector.get(Entity.INVOICE, number).record == found(connector, Entity.INVOICE)[number]
    with pytest.raises(NotFoundError):
        connector.get(Entity.INVOICE, "999")
    assert connector.search(Entity.INVOICE, marker="TO1") == []
    assert [o.id for o in connector.search(Entity.INVOICE, like=invoice(total="5.00", tax="0.00"))] == [number]


def test_records_of_another_company_code_are_left_out(world: World) -> None:
    ours, theirs = (world.books.enter_invoice("200001", "5.00", on=JAN) for _ in range(2))
    world.books.change(theirs, company_code="2000")
    world.export()
    exports = [{"glob": f"{n}*", "profile": n, "entity_code": "1000"} for n in PLAIN]
    pull = world.open(exports=exports).pull(Entity.INVOICE)
    assert [o.id for o in pull] == [ours]
    assert pull.proof["left_out"] == 1
    one_code = world.open(exports=exports, entity_code=None)
    assert one_code.represent(invoice()).entity_code == "1000"  # type: ignore[union-attr]


def test_without_a_customer_file_the_documents_name_the_customers(world: World) -> None:
    number = world.books.enter_invoice("200001", "5.00", on=JAN, settled_on=END)
    world.export()
    connector = world.open(exports=[{"glob": "documents*", "profile": "documents"}], imports={})
    pull = connector.pull(Entity.CUSTOMER)
    assert [(o.id, o.record.name) for o in pull] == [("200001", "Nordlicht GmbH")]  # type: ignore[union-attr]
    assert pull.scope == "period", "a customer without documents is not gone"
    assert connector.capabilities.writes == {}
    assert found(connector, Entity.INVOICE)[number].settled_on == END


def test_open_items_say_so(world: World) -> None:
    paid, part = (world.books.enter_invoice("200001", "5.00", on=JAN) for _ in range(2))
    world.books.enter_payment("200001", "8.00", on=END, applications={paid: "5.00", part: "2.00"})
    world.erp.export(world.dropped, END, layouts=["open-items"])
    connector = world.open(exports=[{"glob": "open-items*", "profile": "open-items"}], imports={})
    pull = connector.pull(Entity.INVOICE)
    assert [(o.id, o.record.reported_open) for o in pull] == [(part, Decimal("3.00"))]  # type: ignore[union-attr]
    assert (pull.scope, pull.complete) == ("open", True)
    with pytest.raises(RetriableError):
        connector.get(Entity.INVOICE, paid)


# -- writing


def test_what_is_written_is_pending_until_an_export_shows_it(world: World) -> None:
    world.export()
    connector = world.open()
    assert connector.capabilities.strategy is Strategy.FILE
    assert connector.capabilities.can(Entity.INVOICE, Op.CREATE)
    answer = connector.create(invoice(), key="K1", marker="TO1")
    assert (answer.pending, answer.id) == (True, "")
    assert list(world.outbox.iterdir()) == [], "nothing leaves before flush"
    paths = connector.flush(run="r1")
    assert [Path(p).name for p in paths] == ["20260202T090000Z-000001-invoices.import.csv"]
    manifest = json.loads((world.outbox / "20260202T090000Z-000001-invoices.manifest.json").read_text())
    assert (manifest["layout"], manifest["run"], manifest["control_totals"]) == (
        "import-documents",
        "r1",
        {"USD": "108.25"},
    )
    assert connector.search(Entity.INVOICE, marker="TO1") == []
    world.erp.load_outbox(world.outbox)
    world.export()
    connector.company()
    assert [o.id for o in connector.search(Entity.INVOICE, marker="TO1")] == ["Q-1"]


def test_a_key_once_handed_over_is_never_written_again(world: World) -> None:
    world.export()
    connector = world.open()
    for _ in range(2):
        connector.create(invoice(), key="K1", marker="TO1")
    connector.flush(run="r1")
    assert connector.create(invoice(), key="K1", marker="TO1").pending
    assert connector.flush(run="r2") == []
    reopened = world.open()
    assert reopened.create(invoice(), key="K1", marker="TO1").pending
    assert reopened.flush(run="r3") == []
    for path in [*world.outbox.glob("*.csv"), *world.outbox.glob("*.json")]:
        path.unlink()  # the ERP's job archives what it has loaded
    archived = world.open()
    assert archived.create(invoice(), key="K1", marker="TO1").pending
    assert archived.flush(run="r4") == []


@pytest.mark.parametrize("how", ["before", "torn", "after"])
@pytest.mark.parametrize("step", range(1, 14))
def test_a_crash_anywhere_in_a_hand_over_books_every_record_once(world: World, step: int, how: str) -> None:
    world.export()
    wanted = [(customer(), "TO1"), (invoice(), "TO2")]

    def hand_over(files: Disk | None = None) -> None:
        connector = world.open(files=files)
        connector.company()
        for record, marker in wanted:
            connector.create(record, key=f"K{marker}", marker=marker)
        connector.flush(run="r")

    crashed = False
    try:
        hand_over(Dying(step, how))
    except Died:
        crashed = True
    assert crashed == (step <= 12), "two files of six steps each"
    world.erp.load_outbox(world.outbox)
    hand_over()
    report = world.erp.load_outbox(world.outbox)
    assert report.refused == []
    assert [len(world.books.with_reference(marker)) for _, marker in wanted] == [1, 1]
    assert world.books.last_sequence == 2


def test_one_file_per_entity_customers_first(world: World) -> None:
    world.export()
    connector = world.open()
    connector.create(payment("10.00"), key="K3", marker="TO3")
    connector.create(invoice(), key="K2", marker="TO2")
    connector.create(customer(), key="K1", marker="TO1")
    names = [Path(p).name.split("-", 1)[1] for p in connector.flush(run="r1")]
    assert names == ["000001-customers.import.csv", "000002-invoices.import.csv", "000003-payments.import.csv"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"memo": "=HYPERLINK(1)"}, "memo.*'=HYPERLINK.*formula"),
        ({"memo": "+49"}, "formula"),
        ({"memo": "-5"}, "formula"),
        ({"memo": " @x"}, "formula"),
        ({"memo": "＝1+1"}, "formula"),
        ({"memo": "\t=1"}, "control character"),
        ({"memo": "\rx"}, "control character"),
        ({"memo": "two\nlines"}, "control character"),
        ({"memo": "x" * 201}, "longer than 200"),
        ({"number": "1001.0"}, "read back as '1001'"),
        ({"number": "1.9E+09"}, "could not be read back"),
        ({"memo": "#N/A"}, "could not be read back"),
        ({"memo": "x\u202ey"}, "could not be read back"),
        ({"number": "N" * 41}, "number.*longer than 40"),
        ({"total": Decimal("1.005"), "tax": ZERO, "subtotal": Decimal("1.005")}, "finer than USD"),
    ],
)
def test_what_a_file_could_not_carry_exactly_is_refused(world: World, wrong: dict[str, Any], says: str) -> None:
    world.export()
    connector = world.open()
    with pytest.raises(Rejected, match=says):
        connector.create(
            invoice(**wrong) if "number" in wrong else invoice().model_copy(update=wrong), key="K", marker="T"
        )
    assert connector.flush(run="r1") == []


def test_a_code_page_refuses_what_it_lacks(world: World, tmp_path: Path) -> None:
    profile = tmp_path / "latin.toml"
    profile.write_text(
        'entities = ["customer"]\nfile = { encoding = "cp1252" }\n'
        'columns = [{ name = "our_reference", source = "marker" }, { name = "name", source = "name" }]\n'
    )
    world.export()
    connector = world.open(imports={"customer": str(profile)})
    with pytest.raises(Rejected, match="'Ł', which cp1252 lacks"):
        connector.create(customer("Łódź"), key="K1", marker="TO1")
    connector.create(customer("Müller"), key="K2", marker="TO2")
    assert b"M\xfcller" in Path(connector.flush(run="r")[0]).read_bytes()


def test_a_telephone_number_may_begin_with_a_plus_but_not_with_a_formula(world: World) -> None:
    world.export()
    connector = world.open()
    connector.create(customer(phone="+49 (30) 123-4"), key="K1", marker="TO1")
    with pytest.raises(Rejected, match="formula"):
        connector.create(customer(phone="+49+cmd|' /C calc'!A0"), key="K2", marker="TO2")


def test_changes_and_closed_periods_are_refused_before_anything_is_written(world: World) -> None:
    number = world.books.enter_invoice("200001", "5.00", on=JAN)
    world.export()
    connector = world.open(closed_through=date(2026, 1, 15))
    assert connector.company().closed_through() == date(2026, 1, 15)
    with pytest.raises(PeriodClosed):
        connector.create(invoice(), key="K1", marker="TO1")
    before = connector.get(Entity.INVOICE, number)
    with pytest.raises(ReadOnlyError):
        connector.delete(before, key="K")
    with pytest.raises(PeriodClosed):
        connector.void(before, key="K")
    with pytest.raises(PeriodClosed):
        connector.update(invoice(), before=before, key="K")
    with pytest.raises(ReadOnlyError):
        world.open(imports={}).create(invoice(), key="K", marker="T")
    assert connector.flush(run="r") == []


def test_what_no_layout_takes_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """SAP postings create, clearings apply: a new text and a reversal stay a person's work."""
    both = ("import-sap-posting", "import-sap-clearing")
    world = World(tmp_path, SAP, SAP_IMPORTS | {"payment": both})
    number = world.books.enter_payment("200001", "5.00", on=JAN)
    world.export()
    connector = world.open()
    assert connector.capabilities.writes[Entity.PAYMENT] == {Op.CREATE, Op.APPLY}
    before = connector.get(Entity.PAYMENT, f"1000/{number}/2026")
    with pytest.raises(ReadOnlyError, match="no import profile that takes a void of a payment"):
        connector.void(before, key="K")
    with pytest.raises(ReadOnlyError, match="what changes is memo"):
        connector.update(before.record.model_copy(update={"memo": "anew"}), before=before, key="K")
    assert connector.flush(run="r") == []
    with pytest.raises(ConfigError, match="takes create of payment, which import-sap-posting takes already"):
        world.open(imports={"payment": ("import-sap-posting", "import-payments")})


def test_an_outbox_that_cannot_be_trusted_is_said_before_anything_is_planned(world: World) -> None:
    world.export()
    with pytest.raises(ConfigError, match=r"outbox .* does not exist"):
        world.open(outbox=world.folder / "none").company()
    (world.outbox / "emitted").mkdir()
    (world.outbox / "emitted" / "000001.manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="what was handed over is not known"):
        world.open().company()


def test_settings_are_checked_all_at_once(world: World) -> None:
    with pytest.raises(ConfigError) as error:
        open_tabular("erp", settings={"folder": 1, "exports": [], "typo": True})
    assert len(error.value.problems) == 4
    with pytest.raises(ConfigError, match="writes no invoice"):
        world.open(imports={"invoice": "import-customers"})
    with pytest.raises(ConfigError, match="no-such"):
        world.open(imports={"invoice": "no-such"})


# -- the way there and back


AMOUNTS = st.decimals("0.01", "99999.99", places=2)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30)
SAFE = st.one_of(st.none(), TEXT.map(lambda t: f"x{t}"))


def round_trip(world: World, records: list[AnyRecord]) -> None:
    world.export()
    connector = world.open()
    connector.company()
    for n, record in enumerate(records):
        connector.create(record, key=f"K{n}", marker=f"TO{n}")
    connector.flush(run="r")
    report = world.erp.load_outbox(world.outbox)
    assert (report.rejected, report.refused) == ([], [])
    world.export()
    connector.company()
    for n, record in enumerate(records):
        (seen,) = connector.search(record.entity, marker=f"TO{n}")
        wanted = connector.represent(record)
        assert connector.represent(wanted) == wanted
        for name in connector.capabilities.fields[record.entity]:
            assert getattr(seen.record, name) == getattr(wanted, name), name
        assert wanted.model_dump(include={"currency"}) == seen.record.model_dump(include={"currency"})  # type: ignore[union-attr]


@st.composite
def books_to_write(draw: st.DrawFn) -> list[AnyRecord]:
    """A customer, an invoice on the account of one known, a credit memo and a payment that pay parts of OLD."""
    address = Address(
        lines=tuple(draw(st.lists(TEXT.filter(bool).map(lambda t: f"x{t}"), max_size=2))), city=draw(SAFE)
    )
    tax = draw(st.decimals("0.00", "5.00", places=2))
    total = draw(AMOUNTS) + tax
    applied, rest = draw(st.decimals("0.01", "400.00", places=2)), draw(st.decimals("0.00", "9.00", places=2))
    return [
        customer(draw(TEXT.map(lambda t: f"x{t}")), email=draw(SAFE), billing_address=address),
        invoice("Q-1", str(total), str(tax), memo=draw(SAFE), due=draw(st.dates(JAN, date(2027, 1, 1)))),
        credit_memo("C-1", str(applied + rest), {"OLD": str(applied)}, memo=draw(SAFE)),
        payment(str(applied + rest), {"OLD": str(applied)}, method=draw(st.sampled_from(Method)), memo=draw(SAFE)),
    ]


@settings(max_examples=60)
@given(books_to_write())
def test_plain_files_there_and_back(tmp_path_factory: pytest.TempPathFactory, records: list[AnyRecord]) -> None:
    world = World(tmp_path_factory.mktemp("w"))
    world.books.enter_invoice("200001", "1000.00", on=JAN, number="OLD")
    round_trip(world, records)


@pytest.mark.parametrize("layout", ["sap-fbl5n-en", "sap-fbl5n-de"])
def test_what_sap_lists_is_read_by_kind(tmp_path: Path, layout: str) -> None:
    world = World(tmp_path, layouts=("customers", layout))
    books = world.books
    one, two = (books.enter_invoice("200001", "100.00", on=JAN, tax="8.25", tax_code="A1") for _ in range(2))
    paid = books.enter_payment("200001", "150.00", on=END, applications={one: "108.25", two: "40.00"}, method="ach")
    credit = books.enter_credit_memo("200001", "10.00", on=JAN, reference="CM 1", applications={two: "10.00"})
    off = books.write_off(two, "1.25", on=END)
    gone = books.enter_invoice("200001", "77.00", on=JAN)
    books.reverse(gone, on=END)
    world.export()
    connector = world.open(imports=dict(SAP_IMPORTS))

    def id(number: str) -> str:
        return f"1000/{number}/2026"

    invoices = found(connector, Entity.INVOICE)
    assert (invoices[id(one)].total, invoices[id(one)].tax) == (Decimal("108.25"), Decimal("8.25"))
    assert (invoices[id(gone)].state, invoices[id(gone)].voided_on) == (PostingState.VOIDED, END)
    read = found(connector, Entity.PAYMENT)[id(paid)]
    assert (read.amount, read.method, read.reference) == (Decimal("150.00"), Method.ACH, None)
    assert [(a.invoice, a.amount) for a in read.applications] == [
        (id(one), Decimal("108.25")),
        (id(two), Decimal("40.00")),
    ]
    assert found(connector, Entity.CREDIT_MEMO)[id(credit)].number == "CM 1"
    adjustment = found(connector, Entity.ADJUSTMENT)[id(off)]
    assert (adjustment.document, adjustment.kind, adjustment.side) == (id(two), "write_off", "credit")
    pull = connector.pull(Entity.INVOICE)
    assert list(pull)
    assert pull.complete, pull.proof


@settings(max_examples=60)
@given(books_to_write())
def test_sap_posting_files_there_and_back(tmp_path_factory: pytest.TempPathFactory, records: list[AnyRecord]) -> None:
    world = World(tmp_path_factory.mktemp("w"), layouts=SAP, imports=dict(SAP_IMPORTS))
    old = world.books.enter_invoice("200001", "1000.00", on=JAN)
    id = f"1000/{old}/2026"

    def known(record: AnyRecord) -> AnyRecord:
        if not isinstance(record, CreditMemo | Payment):
            return record
        moved = tuple(a.model_copy(update={"invoice": id}) for a in record.applications)
        return record.model_copy(update={"applications": moved})

    round_trip(world, [known(r) for r in records])
