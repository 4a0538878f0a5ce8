"""The company's books: what is stored, and the one way to change it.

Pure Python: no socket, no thread of its own, the clock is an argument. Documents are never changed in place, so
entries of the effects log may hold them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from . import guards, lists, others, payments, posting, sales, schema, seeds
from .encode import Doc, bare, clean, copied, dumps, stamp, today
from .faults import DELETED, Refused, gone, missing, stale
from .ledger import DoubleEntry, Key
from .schema import Entity
from .switches import Switches

READ_ONLY = frozenset(("MetaData", "domain", "status", "sparse", "Id", "SyncToken", "time"))


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Row:
    """A stored document. `updated` is UTC to the second; `text` its cached answer; `lines` the highest line id used."""

    doc: Doc
    updated: datetime
    text: bytes | None = None
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of one document, as it truly happened; `before` is None on create, `after` None on delete.

    by: who wrote it: `user` (a caller of `Books.apply`), `api` (a request), `system` (QuickBooks itself)
    note: PrivateNote, or Notes of a customer, where a caller's marker may stand
    """

    seq: int
    at: datetime
    entity: str
    op: str
    id: str
    requestid: str
    note: str
    by: str
    before: Doc | None
    after: Doc | None


class Books:
    """One company. `apply` changes it, `find` reads it, `effects` tells what happened; thread-safe.

    seed: `small`, `empty`, or `generate:CUSTOMERS:INVOICES:SEED`; raises ConfigError for another.
    """

    def __init__(
        self,
        seed: str = "small",
        switches: Switches | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self.switches = switches or Switches()
        self.lock = threading.RLock()
        self.tables: defaultdict[str, dict[str, Row]] = defaultdict(dict)
        self.deleted: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        self.ledger = DoubleEntry()
        self.applied: defaultdict[Key, dict[str, Decimal]] = defaultdict(dict)  # -> payment id -> amount
        self.deposited: dict[Key, str] = {}
        self.matched: set[Key] = set()  # with a transaction of a bank feed, which a person does in the banking page
        self.settled: set[Key] = set()  # card or ACH payments that QuickBooks took itself and its bank has paid out
        self.opening: dict[str, Decimal] = {}  # customer -> balance loaded without its documents
        self.stated: dict[str, Decimal] = {}  # customer -> balance a loaded backup states
        self.voided: set[Key] = set()
        self.numbers: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self.names: dict[str, Key] = {}
        self.children: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.series: dict[str, int] = {"sales": 1000, "Estimate": 1000}
        self.effects: list[Effect] = []
        self.custom_names: tuple[str, ...] = ("Crew #",)
        self._clock = clock
        self._pinned: datetime | None = None
        self._counters: dict[str, int] = {}
        self._actor, self._requestid = "user", ""
        seeds.plant(self, seed)
        self.verify()

    # ---- time and ids

    def now(self) -> datetime:
        return (self._pinned or self._clock()).astimezone(UTC)

    def pin(self, moment: datetime | None) -> None:
        """Stops the books' clock at a moment; None lets it go again. Seeds use it to write history."""
        self._pinned = moment

    def today(self) -> date:
        """The company's date (Pacific)."""
        return today(self.now())

    def next_id(self, sequence: str, first: int = 1) -> str:
        number = self._counters.get(sequence, first - 1) + 1
        self._counters[sequence] = number
        return str(number)

    def reserve(self, sequence: str, number: int) -> None:
        """Later ids of the sequence are above `number`."""
        self._counters[sequence] = max(self._counters.get(sequence, 0), number)

    def set_next(self, sequence: str, number: int) -> None:
        """The next id of the sequence is `number`: for books that continue recorded ones."""
        self._counters[sequence] = number - 1

    # ---- reading

    def row(self, entity: str, id: str) -> Row | None:
        return self.tables[entity].get(id)

    def doc(self, entity: str, id: str) -> Doc | None:
        """The stored document itself, not to be changed, without derived balances of list objects."""
        row = self.tables[entity].get(id)
        return None if row is None else row.doc

    def find(self, entity: str, id: str) -> Doc | None:
        """A copy of the document as it would be answered; None where there is none (or it was deleted)."""
        with self.lock:
            spec = self._entity(entity)
            row = self.tables[spec.name].get(str(id))
            return None if row is None else copied(self.view(spec.name, row))

    def all(self, entity: str) -> list[Doc]:
        """Copies of every stored document of the entity, inactive ones too, oldest first."""
        with self.lock:
            spec = self._entity(entity)
            return [copied(self.view(spec.name, row)) for row in self.tables[spec.name].values()]

    def view(self, entity: str, row: Row) -> Doc:
        """The document as answered: list objects get their balances."""
        if entity == "RecurringTransaction":
            return others.sink(row.doc)
        if entity == "ExchangeRate":  # keyed by currency and day; no id is shown
            return {k: v for k, v in row.doc.items() if k not in {"Id", "SyncToken"}}
        return lists.with_balances(self, entity, row.doc)

    def text(self, entity: str, row: Row) -> bytes:
        """The document as JSON, cached until something it shows changes."""
        if row.text is None:
            row.text = dumps(self.view(entity, row))
        return row.text

    def prefs(self, group: str) -> Doc:
        """One group of Preferences."""
        row = self.tables["Preferences"].get("1")
        return {} if row is None else row.doc.get(group, {})

    def custom_fields(self) -> list[Doc]:
        """The definitions that every sales form shows."""
        return [
            {"DefinitionId": str(n), "Name": name, "Type": "StringType"} for n, name in enumerate(self.custom_names, 1)
        ]

    def rates(self, code: str) -> list[tuple[str, Decimal]]:
        """The sales rates of a tax code: (TaxRate id, percent), in order; empty for an unknown code."""
        details = (self.doc("TaxCode", code) or {}).get("SalesTaxRateList", {}).get("TaxRateDetail", [])
        ids = [detail["TaxRateRef"]["value"] for detail in details]
        return [(id, Decimal((self.doc("TaxRate", id) or {}).get("RateValue", 0))) for id in ids]

    def rate(self, code: str, on: str) -> Decimal:
        """Home units per unit of a currency on a day: the newest rate not after it, 1 where there is none."""
        return others.rate_on(self, code, on)

    def journal_net(self, id: str, customer: str) -> Decimal:
        """What a journal entry posts to A/R for a customer, debits positive."""
        return posting.journal_receivable(self.doc("JournalEntry", id) or {}, self).get(customer, Decimal(0))

    # ---- writing

    def apply(
        self,
        entity: str,
        operation: str,
        payload: Mapping[str, Any],
        *,
        requestid: str = "",
        allow_duplicate: bool = False,
        by: str = "user",
    ) -> Doc:
        """Does what the REST operation does: `create`, `update` (sparse by its flag), `void` or `delete`.

        Returns a copy of the answered document (a delete: its stub). Raises Refused; then nothing changed.
        """
        with self.lock:
            spec = self._entity(entity)
            guards.writable(self)
            if by == "api":
                guards.permitted(self, spec, writes=True)
            self._actor, self._requestid = by, requestid
            try:
                recurring = spec.name == "RecurringTransaction"
                given = clean(others.lift(payload) if recurring else dict(payload), spec)
                answer = self._dispatch(spec, operation, given, allow_duplicate)
                self.verify()
            finally:
                self._actor, self._requestid = "user", ""
            done: Doc = copied(answer)
            return done

    def _dispatch(self, spec: Entity, operation: str, given: Doc, allow_duplicate: bool) -> Doc:
        if spec.kind == "single":
            return self._update(spec, {**given, "Id": "1"}, allow_duplicate)
        if spec.name == "ExchangeRate":
            return others.set_rate(self, given)
        if operation == "create" or (operation == "update" and given.get("Id", "") in {"", "0"}):
            return self.create(spec, given, allow_duplicate)
        if operation == "update":
            return self._update(spec, given, allow_duplicate)
        if operation == "delete":
            return self._delete(spec, given)
        if operation == "void" and spec.voidable:
            return self._void(spec, given)
        raise Refused(500, f"Operation {operation} is not supported.")

    def create(self, spec: Entity, given: Doc, allow_duplicate: bool = False) -> Doc:
        """The inside of a create, for other rules of the books too (`given` is clean)."""
        lists.refuse_unwritable(spec)
        doc = bare({k: v for k, v in given.items() if k not in READ_ONLY})
        done = _RULES.get(spec.name, others.complete)(self, spec, doc, None)
        guards.check_period(self, spec, done)
        guards.number(self, spec, done, None, allow_duplicate)
        id = self.next_id(spec.sequence or spec.name)
        done = payments.settle(self, (spec.name, id), done)
        row = self.store(spec.name, id, self.seal(id, done, None), "create")
        if spec.name in {"Invoice", "CreditMemo"}:
            payments.auto_apply(self, spec.name, id)
        elif spec.name == "Customer" and given.get("Balance") and given.get("OpenBalanceDate"):
            sales.opening_invoice(self, id, given)
        return self.view(spec.name, self.tables[spec.name].get(id, row))

    def _update(self, spec: Entity, given: Doc, allow_duplicate: bool) -> Doc:
        lists.refuse_unwritable(spec)
        row = self._current(spec, given)
        id, old = row.doc["Id"], row.doc
        changes = {k: v for k, v in given.items() if k not in READ_ONLY}
        sparse = given.get("sparse") is True or spec.kind == "single"
        merged = _deep(old, changes) if spec.kind == "single" else {**old, **changes}
        doc = bare(merged if sparse else lists.kept(spec, old) | changes)
        if spec.name == "Payment" and sparse and "CustomerRef" not in changes:
            raise missing("CustomerRef")
        done = _RULES.get(spec.name, others.complete)(self, spec, doc, old)
        guards.check_period(self, spec, old, done)
        guards.settled(self, spec, done, old)
        guards.number(self, spec, done, old, allow_duplicate)
        payments.shrink(self, (spec.name, id), done)
        row = self.tables[spec.name][id]
        old = row.doc
        done = payments.settle(self, (spec.name, id), done)
        sealed = self.seal(id, done, old)
        if sparse and all(sealed.get(k) == old.get(k) for k in {*sealed, *old} - {"MetaData", "SyncToken"}):
            return self.view(spec.name, row)
        return self.view(spec.name, self.store(spec.name, id, sealed, "update"))

    def _void(self, spec: Entity, given: Doc) -> Doc:
        row = self._current(spec, given)
        old, key = row.doc, (spec.name, row.doc["Id"])
        if key in self.voided:
            if self.switches.second_void == "reject":
                raise Refused(6000, "Business Validation Error: This transaction is already voided.", element="")
            return self.view(spec.name, row)
        guards.check_period(self, spec, old)
        payments.refuse_settled(self, key)
        payments.before_undo(self, key, self.switches.void_invoice_with_payment)
        old = self.tables[spec.name][key[1]].doc
        self.voided.add(key)
        done = sales.voided(old, self.switches.void_note_separator)
        return self.view(spec.name, self.store(spec.name, key[1], self.seal(key[1], done, old), "void"))

    def _delete(self, spec: Entity, given: Doc) -> Doc:
        if spec.kind == "list":
            raise Refused(500, f"Operation delete on {spec.name} is not supported.")
        row = self._current(spec, given, token=spec.name not in {"Attachable", "RecurringTransaction"})
        key = (spec.name, row.doc["Id"])
        guards.check_period(self, spec, row.doc)
        payments.before_undo(self, key, self.switches.delete_invoice_with_payment)
        self.remove(spec.name, key[1])
        return {"domain": "QBO", "status": "Deleted", "Id": key[1]}

    def match(self, entity: str, id: str) -> None:
        """Somebody matches a document with a bank transaction on the website; from then on it is not taken back."""
        with self.lock:
            if self.row(entity, id) is None:
                raise gone()
            self.matched.add((entity, id))

    def pay_out(self, id: str) -> None:
        """The bank pays out a payment that QuickBooks took by card or ACH; from then on it is not voided."""
        with self.lock:
            if self.row("Payment", id) is None:
                raise gone()
            self.settled.add(("Payment", id))

    def close_through(self, day: date | None) -> None:
        """The owner closes the books through a day (inclusive) on the website, or opens them again with None."""
        with self.lock:
            row = self.tables["Preferences"]["1"]
            accounting = {k: v for k, v in row.doc["AccountingInfoPrefs"].items() if k != "BookCloseDate"}
            if day is not None:
                accounting["BookCloseDate"] = day.isoformat()
            done = {**row.doc, "AccountingInfoPrefs": accounting}
            self.store("Preferences", "1", self.seal("1", done, row.doc), "update")

    # ---- the storage under the rules

    def seal(self, id: str, doc: Doc, old: Doc | None) -> Doc:
        """The document with its system fields for this write: SyncToken one up, times now."""
        at = stamp(self.now())
        token = "0" if old is None else str(int(old["SyncToken"]) + 1)
        created = at if old is None else old["MetaData"]["CreateTime"]
        meta = {"CreateTime": created, "LastUpdatedTime": at}
        system: Doc = {"domain": "QBO", "sparse": False, "Id": id, "SyncToken": token, "MetaData": meta}
        return system | {k: v for k, v in doc.items() if k not in READ_ONLY}

    def store(self, entity: str, id: str, doc: Doc, op: str) -> Row:
        """Puts a sealed document, posts it, refreshes what it is applied to, logs the effect."""
        table = self.tables[entity]
        previous = table.get(id)
        before = None if previous is None else previous.doc
        assert before is None or int(doc["SyncToken"]) > int(before["SyncToken"]), "SyncToken must grow"
        lines = max((int(line["Id"]) for line in doc.get("Line", ()) if "Id" in line), default=0)
        row = Row(doc, self.now().replace(microsecond=0), None, max(lines, previous.lines if previous else 0))
        table[id] = row
        self.index(entity, id, before, doc)
        touched = payments.link(self, entity, id, before, doc)
        self.repost(entity, id)
        for key in touched:
            self.refresh(key)
        self._log(entity, op, id, before, doc)
        return row

    def remove(self, entity: str, id: str) -> None:
        """Deletes a document for good; only its tombstone stays."""
        before = self.tables[entity].pop(id).doc
        self.deleted[entity][id] = self.now().replace(microsecond=0)
        self.index(entity, id, before, None)
        touched = payments.link(self, entity, id, before, None)
        self.repost(entity, id)
        for key in touched:
            self.refresh(key)
        self._log(entity, "delete", id, before, None)

    def repost(self, entity: str, id: str) -> None:
        """Brings the ledger in line with the stored document."""
        postings, opens, currency = posting.of(self, entity, id)
        for account in self.ledger.post((entity, id), postings):
            self.stale("Account", account)
        for customer in self.ledger.hold((entity, id), opens, currency):
            while customer:
                self.stale("Customer", customer)
                doc = self.doc("Customer", customer) or {}
                customer = doc.get("ParentRef", {}).get("value", "")

    def refresh(self, key: Key) -> None:
        """After its applications changed: new balance and links, a new version of the linked document."""
        row = self.tables[key[0]].get(key[1])
        if row is None:
            return
        doc = payments.settle(self, key, row.doc)
        if doc is row.doc:
            return
        meta = {**doc["MetaData"], "LastUpdatedTime": stamp(self.now())}
        doc = {**doc, "MetaData": meta}
        if self.switches.payment_bumps_invoice_token:
            doc["SyncToken"] = str(int(doc["SyncToken"]) + 1)
        self.tables[key[0]][key[1]] = Row(doc, self.now().replace(microsecond=0), None, row.lines)
        self.repost(*key)

    def stale(self, entity: str, id: str) -> None:
        row = self.tables[entity].get(id)
        if row is not None:
            row.text = None

    def load(self, entity: str, docs: Iterable[Doc]) -> None:
        """Puts documents as they are (ids, tokens, times and number formats kept), as a backup would.

        A customer's `Balance` that the loaded documents do not explain becomes an opening balance.
        """
        with self.lock:
            others.load(self, self._entity(entity), list(docs))
            self.verify()

    # ---- checks

    def verify(self) -> None:
        """The cheap invariants, after every write. Raises AssertionError."""
        self.ledger.verify()

    def check(self) -> None:
        """Every invariant, recomputed from the documents. Raises AssertionError."""
        with self.lock:
            posting.audit(self)

    def _entity(self, name: str) -> Entity:
        spec = schema.find(name)
        if spec is None:
            raise Refused(500, f"Operation {name} is not supported.")
        return spec

    def _current(self, spec: Entity, given: Doc, token: bool = True) -> Row:
        id = str(given.get("Id", ""))
        if not id:
            raise missing("Id")
        row = self.tables[spec.name].get(id)
        if row is None:
            raise gone(DELETED) if id in self.deleted[spec.name] else gone()
        if "SyncToken" not in given and token:
            raise missing("SyncToken")
        if token and str(given["SyncToken"]) != row.doc["SyncToken"]:
            raise stale()
        return row

    def index(self, entity: str, id: str, before: Doc | None, after: Doc | None) -> None:
        if before is not None and "DocNumber" in before:
            self.numbers[entity, before["DocNumber"]].pop(id, None)
        if after is not None and "DocNumber" in after:
            self.numbers[entity, after["DocNumber"]][id] = None
        if entity == "Customer":
            if before is not None and "ParentRef" in before:
                self.children[before["ParentRef"]["value"]].pop(id, None)
            if after is not None and "ParentRef" in after:
                self.children[after["ParentRef"]["value"]][id] = None
        if schema.ENTITIES[entity.lower()].names:
            if before is not None:
                self.names.pop(lists.title(before).lower(), None)
            if after is not None:
                self.names[lists.title(after).lower()] = (entity, id)

    def _log(self, entity: str, op: str, id: str, before: Doc | None, after: Doc | None) -> None:
        shown = after or before or {}
        note = str(shown.get("PrivateNote", shown.get("Notes", "")))
        by, requestid = self._actor, self._requestid
        effect = Effect(len(self.effects), self.now(), entity, op, id, requestid, note, by, before, after)
        self.effects.append(effect)

    def as_system(self) -> _Actor:
        """Effects logged inside the `with` are QuickBooks' own doing."""
        return _Actor(self)


class _Actor:
    def __init__(self, books: Books) -> None:
        self._books, self._before = books, books._actor  # noqa: SLF001  (one class in two parts)

    def __enter__(self) -> None:
        self._books._actor = "system"  # noqa: SLF001  (the same)

    def __exit__(self, *_: object) -> None:
        self._books._actor = self._before  # noqa: SLF001  (the same)


def _deep(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{k: _deep(old.get(k), v) for k, v in new.items()}}
    return new


_RULES: dict[str, Callable[[Books, Entity, Doc, Doc | None], Doc]] = {
    **dict.fromkeys(schema.SALES, sales.complete),
    "Payment": payments.complete,
    **dict.fromkeys(("Customer", "Vendor", "Employee"), lists.person),
    "Account": lists.account,
    "Item": lists.item,
    "Term": lists.term,
    **dict.fromkeys(("PaymentMethod", "Class", "Department", "CompanyCurrency", "TaxAgency"), lists.named),
    "Preferences": lists.preferences,
}
