"""The QuickBooks Online connector: reads and writes customers, invoices, credit memos and payments of one company.

Writes are sparse: only what differs is sent, on the version that was read. Payments are the exception: QuickBooks
takes them whole. Every write carries its key as `requestid`, by which QuickBooks repeats an answer instead of the deed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from tieout.connectors import Capabilities, Item, Observation, Op, Pull, Strategy, Written
from tieout.connectors.http import NO_LIMIT, Pace, Transport, checked_url
from tieout.connectors.quickbooks import pull as pulling
from tieout.connectors.quickbooks.company import books_of, company_of, control_balances_of
from tieout.connectors.quickbooks.oauth import TokenManager, Tokens, TokenStore, app_of
from tieout.connectors.quickbooks.wire import BUSINESS, NOT_FOUND, UNKNOWN_REFERENCE, Native, Wire, query, quoted
from tieout.connectors.reach import Reach, is_loopback
from tieout.connectors.redact import redact
from tieout.errors import (
    AuthError,
    ConfigError,
    DuplicateNumber,
    FatalError,
    NotFoundError,
    NotProcessed,
    NotSent,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
    TieoutError,
    UnknownOutcome,
)
from tieout.mapping import quickbooks as mapping
from tieout.mapping.quickbooks.native import NUMBER
from tieout.mapping.quickbooks.payload import head
from tieout.model import AnyRecord, Company, ControlBalance, Customer, Entity, Existence, PostingState, magnitude

API = {
    "production": "https://quickbooks.api.intuit.com",
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
}
KEY_WINDOW = 3600  # Intuit does not say how long it remembers a requestid; an hour is trusted
SETTLE = 60 + 120 + 60  # our timeout, its late commit, its search lag
SEARCH_DAYS = 35
_WRITES: Mapping[Entity, frozenset[Op]] = {
    Entity.CUSTOMER: frozenset({Op.CREATE, Op.UPDATE}),
    Entity.INVOICE: frozenset(Op),
    Entity.CREDIT_MEMO: frozenset({Op.CREATE, Op.UPDATE, Op.DELETE}),  # the API voids no credit memo
    Entity.PAYMENT: frozenset(Op),
}
_SERVER_OWNED = frozenset({"MetaData", "domain", "sparse", "status", "time", "HomeTotalAmt", "UnappliedAmt"})
_ONE_LIST = ("Vendor", "Employee")  # whose names no customer can have
_DOCUMENTS = (Entity.INVOICE, Entity.CREDIT_MEMO)
_UNUSABLE = frozenset({NOT_FOUND, UNKNOWN_REFERENCE})  # said of a write: it names what is inactive, or not there
# A form that an inactive customer has may change; its credit is applied by a new payment.
_ACTIVE_ONLY = {
    Entity.INVOICE: frozenset({Op.CREATE}),
    Entity.CREDIT_MEMO: frozenset({Op.CREATE, Op.APPLY}),
    Entity.PAYMENT: frozenset({Op.CREATE, Op.UPDATE, Op.APPLY}),
}
_HOLDERS = {
    "Customer": "another customer",
    "Vendor": "a vendor",
    "Employee": "an employee",
    "": "another customer, a vendor or an employee",
}
_INNER = ("Address", "FreeFormNumber", "value")
_NUMERIC = frozenset(
    {
        *("Amount", "TotalAmt", "UnitPrice", "Qty", "ExchangeRate", "TotalTax", "TaxPercent", "NetAmountTaxable"),
        *("DiscountPercent", "Deposit", "Balance", "RemainingCredit"),
    }
)
_COMPUTED = frozenset({"TotalAmt"})  # of documents: from their lines


def capabilities(settle: int = SETTLE) -> Capabilities:
    """What any QuickBooks connection can do."""
    return Capabilities(
        reads=frozenset(_WRITES),
        writes=_WRITES,
        fields=mapping.FIELDS,
        strategy=Strategy.IDEMPOTENCY_KEY,
        by_id=True,
        delta=True,
        versioned=True,
        key_window=KEY_WINDOW,
        settle=settle,
        searchable=True,
        periods_readable=True,
        derives_open=True,
        credits_by_payment=True,
        one_currency=True,
        active_only=_ACTIVE_ONLY,
        horizon_days=pulling.WINDOW.days,
    )


class QuickBooksConnector:
    """One connection. Made by `open_quickbooks`; see `Connector` for what the methods promise."""

    def __init__(
        self,
        name: str,
        wire: Wire,
        *,
        clock: Callable[[], datetime],
        settle: int = SETTLE,
        page_size: int = pulling.PAGE,
        company_name: str | None = None,
        close: Callable[[], None] = lambda: None,
        sign_in: Callable[[], Tokens] | None = None,
    ) -> None:
        self._sign_in = sign_in
        self._name, self._wire, self._clock = name, wire, clock
        self._capabilities = capabilities(settle)
        self._page = page_size
        self._company_name = company_name
        self._close = close
        self._books: mapping.Books | None = None

    def __repr__(self) -> str:
        return f"QuickBooksConnector({self._name!r}, {self._wire!r})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def requests(self) -> int:
        """HTTP requests sent so far to the API."""
        return self._wire.requests

    def company(self) -> Company:
        company = company_of(self._wire)
        if self._company_name is not None and company.name != self._company_name:
            raise AuthError(
                f"connection {self._name} opens the books of {company.name!r}, not of {self._company_name!r}",
                hint="mend company_id or company_name",
            )
        return company

    def server_time(self) -> datetime | None:
        """The time by QuickBooks' clock, None if it does not say; beside the protocol, for `tieout check`."""
        return pulling.server_time(self._wire.read(f"companyinfo/{self._wire.company_id}"))

    def signed_in_until(self) -> date | None:
        """The day on which the sign-in ends if nobody renews it, None if that is not known; as `server_time`."""
        kept = self._sign_in() if self._sign_in else None
        return kept.refresh_until.date() if kept and kept.refresh_until > kept.obtained else None

    # ---- reading

    def pull(self, entity: Entity, cursor: str | None = None) -> Pull:
        native = self._native(entity)
        self._mapping_books()

        def observe(row: Native) -> Observation:
            return self._observed(entity, row)

        if cursor is None:
            return pulling.full(self._wire, native, observe, size=self._page)
        return pulling.since(self._wire, native, cursor, observe, self._clock(), size=self._page)

    def get(self, entity: Entity, id: str) -> Observation:
        return self._observed(entity, self._fetched(entity, id))

    def search(self, entity: Entity, *, marker: str | None = None, like: AnyRecord | None = None) -> list[Observation]:
        """As the protocol says. QuickBooks cannot filter by note, so the marker is looked for in candidates.

        With `like`: all documents of that customer, or the customers of that name and the recently made ones; thus a
        marker is found unless somebody moved the document to another customer. Without: what was made in 35 days.
        """
        native, found = self._native(entity), dict[str, Observation]()
        for conditions in self._candidates(entity, marker, like):
            for row in pulling.pages(self._wire, native, *conditions, size=self._page):
                seen = self._observed(entity, row)
                if _carries(seen, marker) or (like is not None and _resembles(seen, self.represent(like))):
                    found[seen.id] = seen
        return list(found.values())

    def _candidates(self, entity: Entity, marker: str | None, like: AnyRecord | None) -> Iterable[tuple[str, ...]]:
        """Query conditions, each giving some of the records to look at."""
        recent = self._clock() - timedelta(days=SEARCH_DAYS)
        made = f"MetaData.CreateTime >= {quoted(recent.astimezone(UTC).isoformat(timespec='seconds'))}"
        every = (pulling.ALL,) if entity is Entity.CUSTOMER else ()
        match like:
            case None:
                yield (made, *every)
            case Customer():
                held = self.represent(like)
                assert isinstance(held, Customer)
                yield (f"DisplayName = {quoted(held.name)}", *every)
                if marker is not None:
                    yield (made, *every)
            case _ if marker is not None:
                yield (f"CustomerRef = {quoted(like.customer)}",)
            case _:
                day = timedelta(days=1)
                yield (
                    f"CustomerRef = {quoted(like.customer)}",
                    f"TxnDate >= {quoted((like.posted - day).isoformat())}",
                    f"TxnDate <= {quoted((like.posted + day).isoformat())}",
                )

    def control_balances(self, as_of: date) -> list[ControlBalance]:
        return control_balances_of(self._wire, self._name, as_of)

    # ---- writing

    def represent(self, record: AnyRecord) -> AnyRecord:
        return mapping.represent(record, self._mapping_books())

    def create(self, record: AnyRecord, *, key: str, marker: str) -> Written:
        self._allowed(record.entity, Op.CREATE)
        body = self._told(mapping.create, record.model_copy(update={"marker": marker}))
        body = _writable(record.entity, body)
        try:
            return self._sent(
                record.entity, body, key=key, check=lambda: bool(self.search(record.entity, marker=marker))
            )
        except Rejected as why:
            if why.code in _UNUSABLE and self._names_unusable(record):
                # Taken out of use since it was planned: no refusal of this document, which follows once it is back.
                raise NotProcessed(why.message, alone=True, code=why.code, request_id=why.request_id) from None
            raise

    def update(self, record: AnyRecord, *, before: Observation, key: str) -> Written:
        self._allowed(record.entity, Op.UPDATE)
        merged = self._told(mapping.put, record, before.raw)
        moved = {
            key: merged[key] if key in merged else _blank(value)
            for key, value in {**before.raw, **merged}.items()
            if merged.get(key) != before.raw.get(key)
        }
        moved = _writable(record.entity, moved)
        if not moved:
            return Written(before.id, before.version, before.raw, record=_read(before))
        body = {**_writable(record.entity, merged), **moved} if record.entity is Entity.PAYMENT else moved
        if record.entity is not Entity.PAYMENT:
            body = {**body, "sparse": True}
        return self._changed(record.entity, before, body, key, {})

    def void(self, before: Observation, *, key: str) -> Written:
        self._allowed(before.entity, Op.VOID)
        if getattr(before.record, "state", None) is PostingState.VOIDED:
            return Written(before.id, before.version, before.raw, record=_read(before))
        if before.entity is Entity.INVOICE:
            return self._changed(before.entity, before, {}, key, {"operation": "void"})
        whole = _writable(before.entity, before.raw)  # whole, so that it is no change should the void be ignored
        return self._changed(before.entity, before, whole, key, {"operation": "update", "include": "void"})

    def delete(self, before: Observation, *, key: str) -> Written:
        self._allowed(before.entity, Op.DELETE)
        return self._changed(before.entity, before, {}, key, {"operation": "delete"})

    def flush(self, *, run: str) -> list[str]:  # noqa: ARG002  nothing is buffered
        return []

    def close(self) -> None:
        self._close()

    def _told(self, translate: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
        """What to send; before anything is sent, every failure says so."""
        try:
            return translate(*given, self._mapping_books())
        except RetriableError as why:
            raise NotSent(f"not sent: {why.message}") from None
        except (mapping.Unwritable, mapping.Unreadable) as why:
            raise Rejected(f"not sent to QuickBooks: {why}") from None

    def _changed(
        self, entity: Entity, before: Observation, body: Native, key: str, params: Mapping[str, str]
    ) -> Written:
        """A write to the version that was read; QuickBooks refuses it if there is a newer one."""
        if before.version is None:
            raise Rejected(f"not sent to QuickBooks: the version of {entity} {before.id} is not known")
        body = {**body, "Id": before.id, "SyncToken": before.version}

        def moved() -> bool:
            try:
                return str(self._fetched(entity, before.id).get("SyncToken")) != before.version
            except NotFoundError:
                return True

        return self._sent(entity, body, key=key, params=params, check=moved)

    def _sent(
        self,
        entity: Entity,
        body: Native,
        *,
        key: str,
        params: Mapping[str, str] | None = None,
        check: Callable[[], bool],
    ) -> Written:
        """Send once. `check` reads whether the write has happened all the same, for refusals known to be untrue."""
        native = self._native(entity)
        try:
            answer, tid = self._wire.write(native.lower(), body, key=key, params=params)
        except Rejected as why:
            if why.code == BUSINESS and self._happened(check):
                told = f"{why.message}; but it may have been carried out"
                raise UnknownOutcome(told, code=why.code, request_id=why.request_id) from None
            raise
        except DuplicateNumber as why:
            if why.existing_id or entity is not Entity.CUSTOMER:
                raise
            name = str(body.get("DisplayName", ""))
            existing = self._named("Customer", name)
            holder = "Customer" if existing else next((who for who in _ONE_LIST if self._named(who, name)), "")
            told = f"{_HOLDERS[holder]} in QuickBooks, where these share one list of names, is called {name!r} already"
            raise DuplicateNumber(
                f"{told} ({why.message})", existing_id=existing, name=name, code=why.code, request_id=why.request_id
            ) from None
        made = answer.get(native)
        if not isinstance(made, Mapping) or not isinstance(made.get("Id"), str):
            raise UnknownOutcome(f"QuickBooks' answer names no {native}", request_id=tid)
        seen = self._shown(entity, made)
        version = seen.version if seen is not None else None
        return Written(made["Id"], version, made, request_id=tid, record=_read(seen) if seen is not None else None)

    def _shown(self, entity: Entity, made: Native) -> Observation | None:
        """The record that an answer holds; None if it cannot be read. The write is done, whatever it says."""
        try:
            return self._observed(entity, made)
        except (TieoutError, ValueError, LookupError, TypeError):
            return None

    def _happened(self, check: Callable[[], bool]) -> bool:
        """6000 is also said of a repeated request whose first answer was lost; if in doubt, it may have happened."""
        try:
            return check()
        except TieoutError:
            return True

    def _named(self, native: str, name: str) -> str:
        """The id of the customer, vendor or employee of that name, "" if there is none or it is unclear."""
        try:
            condition = f"DisplayName = {quoted(name)}"
            answer = self._wire.query(query(native, condition, pulling.ALL, most=2))
            found = pulling.rows(answer, native)
        except TieoutError:
            return ""
        return str(found[0].get("Id", "")) if len(found) == 1 else ""

    # ---- items

    def items(self) -> dict[str, Item]:
        rows = pulling.pages(self._wire, "Item", pulling.ALL, size=self._page)
        return {str(head(row).Id): Item(_title(row), head(row).Active is not False) for row in rows}

    def currencies(self) -> frozenset[str]:
        rows = pulling.pages(self._wire, "CompanyCurrency", size=self._page)
        return frozenset(str(row.get("Code")) for row in rows if row.get("Active") is not False)

    def _names_unusable(self, record: AnyRecord) -> bool:
        """Whether a line of it names an item that no new document may name; False if that cannot be read."""
        named = {line.item for line in getattr(record, "lines", ()) if line.item}
        try:
            known = self.items() if named else {}
        except TieoutError:
            return False
        return any(id not in known or not known[id].active for id in named)

    # ---- shared

    def _native(self, entity: Entity) -> str:
        if entity not in mapping.NAMES:
            raise ReadOnlyError(f"QuickBooks connections hold no {entity}")
        return mapping.NAMES[entity]

    def _allowed(self, entity: Entity, op: Op) -> None:
        if not self._capabilities.can(entity, op):
            raise ReadOnlyError(f"QuickBooks does not {op} a {entity} through its API")

    def _mapping_books(self) -> mapping.Books:
        if self._books is None:
            self._books = books_of(self._wire, self._name)
        return self._books

    def _fetched(self, entity: Entity, id: str) -> Native:
        native = self._native(entity)
        if not (id.isascii() and id.isdigit() and len(id) <= 30):
            raise NotFoundError(f"QuickBooks ids are numbers: {redact(id, 40)!r} is none")
        found = self._wire.read(f"{native.lower()}/{id}").get(native)
        if not isinstance(found, Mapping):
            raise FatalError(f"QuickBooks' answer holds no {native}")
        if found.get("status") == "Deleted":
            raise NotFoundError(f"{native} {id} was deleted")
        return found

    def _observed(self, entity: Entity, row: Native) -> Observation:
        told = head(row)
        id = str(told.Id)
        if told.status == "Deleted":
            return Observation(entity, id, row, None, None, Existence.DELETED, told.changed)
        record = mapping.read(entity, row, self._mapping_books())
        gone = entity is Entity.CUSTOMER and told.Active is False
        return Observation(
            entity,
            id,
            row,
            record,
            None if told.SyncToken is None else str(told.SyncToken),
            Existence.INACTIVE if gone else Existence.LIVE,
            told.changed,
        )


def _title(item: Native) -> str:
    """Its name, without what QuickBooks adds to that of an inactive one."""
    return str(item.get("FullyQualifiedName") or item.get("Name") or "").removesuffix(" (deleted)")


def _read(seen: Observation) -> AnyRecord | None:
    return None if isinstance(seen.record, RecordError) else seen.record


def _blank(value: Any) -> Any:
    """What takes a field away in a sparse update: empty text, in an object for each of its texts."""
    if isinstance(value, Mapping):
        return {key: "" for key in value if key in _INNER}
    return ""


def _writable(entity: Entity, native: Native) -> dict[str, Any]:
    """Without what QuickBooks owns or works out: also a payment line's `LineEx`, which it writes anew."""
    skipped = _SERVER_OWNED | (_COMPUTED if entity in _DOCUMENTS else frozenset())
    kept = {key: value for key, value in native.items() if key not in skipped}
    if entity is Entity.PAYMENT and isinstance(kept.get("Line"), list):
        kept["Line"] = [{k: v for k, v in line.items() if k != "LineEx"} for line in kept["Line"]]
    return {key: _numbers(key, value) for key, value in kept.items()}


def _numbers(key: str, value: Any) -> Any:
    """Amounts as numbers again, in their own spelling: a payload that was stored in between holds them as text."""
    match value:
        case str() if key in _NUMERIC and NUMBER.fullmatch(value):
            return Decimal(value)
        case Mapping():
            return {k: _numbers(k, v) for k, v in value.items()}
        case list() | tuple():
            return [_numbers(key, v) for v in value]
    return value


def _carries(seen: Observation, marker: str | None) -> bool:
    return marker is not None and getattr(seen.record, "marker", None) == marker


def _resembles(seen: Observation, like: AnyRecord) -> bool:
    """Same customer, date ± 1 day and amount; for customers the same name, without case."""
    record = seen.record
    if isinstance(like, Customer):
        return isinstance(record, Customer) and record.name.casefold() == like.name.casefold()
    if record is None or isinstance(record, Customer | RecordError):
        return False
    near = abs(record.posted - like.posted) <= timedelta(days=1)
    return near and record.customer == like.customer and magnitude(record) == magnitude(like)


def _pace(settings: Mapping[str, Any], base: str, sleep: Callable[[float], None]) -> Pace:
    """Intuit's limits, or the lower one that is configured. A stand-in on this machine has none of its own."""
    told = settings.get("requests_per_minute")
    if told is None and is_loopback(urlsplit(base).hostname or ""):
        return Pace(per_minute=NO_LIMIT, per_second=NO_LIMIT, sleep=sleep)
    return Pace(per_minute=int(told or 500), sleep=sleep)


def open_quickbooks(
    name: str,
    *,
    settings: Mapping[str, Any],
    secrets: Mapping[str, str],
    clock: Callable[[], datetime],
    store: TokenStore | None = None,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    settle: int = SETTLE,
    page_size: int = pulling.PAGE,
    transport: Transport | None = None,
    attempts: int = 5,
) -> QuickBooksConnector:
    """A connector for one company; nothing is sent yet. Raises ConfigError.

    settings: `company_id`, `environment`, `client_id`, optionally `api_base`, `token_url`, `discovery_url`,
    `company_name`, `requests_per_minute` · secrets: `client_secret` · store: where `tieout connect` kept the sign-in
    """
    if store is None:
        raise ConfigError(f"connection {name} has no store of sign-ins", hint=f"tieout connect {name}")
    company_id = str(settings.get("company_id", ""))
    if not (company_id.isascii() and company_id.isdigit()):
        raise ConfigError(
            f"connection {name}: company_id should be the company's realm id, digits only",
            hint="QuickBooks shows it in Account and settings",
        )
    base = checked_url(str(settings.get("api_base") or API[settings.get("environment") or "production"]), "api_base")
    own = transport or Transport(pace=_pace(settings, base, sleep), reach=Reach(name))
    tokens = TokenManager(
        name,
        company_id=company_id,
        app=lambda: app_of(settings, secrets, own, sign_in=False),
        store=store,
        transport=own,
        clock=clock,
    )

    wire = Wire(
        own,
        name=name,
        api_base=base,
        company_id=company_id,
        token=tokens.access,
        sleep=sleep,
        jitter=jitter,
        attempts=attempts,
    )
    return QuickBooksConnector(
        name,
        wire,
        clock=clock,
        settle=settle,
        page_size=page_size,
        company_name=settings.get("company_name"),
        close=own.close,
        sign_in=tokens.signed_in,
    )
