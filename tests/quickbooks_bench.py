"""A QuickBooks sandbox with a signed-in connector, for tests."""

from __future__ import annotations

import contextlib
import fcntl
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tieout.connectors.http import NO_LIMIT, Pace, Transport
from tieout.connectors.quickbooks import QuickBooksConnector, open_quickbooks
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.model import (
    ZERO,
    Application,
    CreditMemo,
    Customer,
    Invoice,
    Line,
    Method,
    Payment,
    PostingState,
    Ref,
)
from tieout.sandbox import quickbooks as sandbox

NAME = "qbo"
NOWHERE = Ref(connection="", id="", number=None, version=None)


@dataclass
class Kept:
    generation: int
    current: str
    previous: str | None


class FileStore:
    """Sign-ins in one JSON file per name, two generations each; locked by flock, as the real store is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.full = False
        self.writes: list[str] = []

    def _path(self, connection: str, name: str) -> Path:
        return self.folder / f"{connection}.{name}.json"

    def read(self, connection, name):
        path = self._path(connection, name)
        return Kept(**json.loads(path.read_text())) if path.exists() else None

    def write(self, connection, name, value):
        self.probe()
        old = self.read(connection, name)
        new = Kept((old.generation if old else 0) + 1, value, old.current if old else None)
        path = self._path(connection, name)
        path.with_suffix(".new").write_text(json.dumps(new.__dict__))
        path.with_suffix(".new").replace(path)
        self.writes.append(name)
        return new

    def probe(self):
        if self.full:
            from tieout.errors import RetriableError

            raise RetriableError("no space left on the device")

    @contextlib.contextmanager
    def lock(self, connection):
        with (self.folder / f"{connection}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


@dataclass
class Time:
    """A clock that only moves when told; sleeping moves it."""

    now: datetime = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now += timedelta(seconds=seconds)


@dataclass
class Bench:
    live: sandbox.Running
    store: FileStore
    time: Time

    @property
    def books(self):
        return self.live.books

    @property
    def settings(self):
        return {
            "company_id": self.live.realm,
            "environment": "sandbox",
            "client_id": self.live.client_id,
            "api_base": self.live.base_url,
            "token_url": f"{self.live.base_url}/oauth2/v1/tokens/bearer",
        }

    @property
    def secrets(self):
        return {"client_secret": self.live.client_secret}

    def sign_in(self, *, expired: bool = False) -> None:
        now = self.time()
        tokens = Tokens(
            realm=self.live.realm,
            access=self.live.token(),
            refresh=self.live.refresh_token,
            access_until=now + timedelta(hours=-1 if expired else 1),
            refresh_until=now + timedelta(days=100),
            obtained=now - timedelta(hours=2 if expired else 0),
        )
        store_tokens(NAME, tokens, self.store)

    def open(self, **more) -> QuickBooksConnector:
        pace = Pace(per_minute=NO_LIMIT, per_second=NO_LIMIT)
        options = {
            "settings": self.settings,
            "secrets": self.secrets,
            "clock": self.time,
            "store": self.store,
            "sleep": self.time.sleep,
            "jitter": lambda: 0.0,
            "settle": 0,
            "transport": Transport(pace=pace, connect_seconds=2, read_seconds=5),
        }
        return open_quickbooks(NAME, **{**options, **more})


@contextlib.contextmanager
def bench(tmp_path: Path, *, seed: str = "small", **switches):
    time = Time()
    books = sandbox.Books(seed, sandbox.Switches(**switches), time)
    with sandbox.running(books) as live:
        held = Bench(live, FileStore(tmp_path), time)
        held.sign_in()
        yield held


# ---- records


def customer(name: str = "Northwind Ltd", **more) -> Customer:
    given = {
        "ref": NOWHERE,
        "name": name,
        "number": None,
        "email": "ap@northwind.example",
        "phone": "555 0100",
        "billing_address": None,
        "currency": "USD",
        "terms": None,
        "tax_id": None,
        "parent": None,
        "active": True,
        "reported_balance": None,
    }
    return Customer(**{**given, **more})


def line(net: str, item: str | None = "1", **more) -> Line:
    given = {
        "item": item,
        "description": "Consulting",
        "quantity": None,
        "unit_price": None,
        "net": Decimal(net),
        "tax_code": None,
        "tax": None,
        "revenue_account": None,
    }
    return Line(**{**given, **more})


def document(kind, customer: str, *lines: Line, tax: str = "0", **more):
    from datetime import date

    net = sum((x.net for x in lines), ZERO)
    discount = more.get("discount", ZERO)
    given = {
        "ref": NOWHERE,
        "customer": customer,
        "payer": None,
        "entity_code": None,
        "ar_account": None,
        "number": "S1001",
        "issued": date(2026, 1, 15),
        "posted": date(2026, 1, 15),
        "currency": "USD",
        "exchange_rate": None,
        "lines": lines,
        "tax_lines": (),
        "subtotal": net,
        "discount": discount,
        "tax": Decimal(tax),
        "total": net - discount + Decimal(tax),
        "memo": None,
        "state": PostingState.POSTED,
        "voided_on": None,
        "reported_open": None,
    }
    if kind is Invoice:
        given |= {"due": date(2026, 2, 14), "deposit_applied": ZERO, "po_number": None, "disputed": False}
    else:
        given |= {"original_invoice": None, "reason": None, "applications": ()}
    return kind(**{**given, **more})


def invoice(customer: str, net: str = "100.00", **more) -> Invoice:
    return document(Invoice, customer, *more.pop("lines", (line(net),)), **more)


def credit_memo(customer: str, net: str = "40.00", **more) -> CreditMemo:
    return document(CreditMemo, customer, *more.pop("lines", (line(net),)), **{"number": "K1", **more})


def payment(customer: str, amount: str = "100.00", *applied: tuple[str, str], **more) -> Payment:
    from datetime import date

    posted = more.get("posted", date(2026, 1, 20))
    given = {
        "ref": NOWHERE,
        "customer": customer,
        "payer": None,
        "entity_code": None,
        "ar_account": None,
        "reference": "CHK 1",
        "received": posted,
        "posted": posted,
        "method": Method.CHECK,
        "amount": Decimal(amount),
        "currency": "USD",
        "exchange_rate": None,
        "applications": tuple(
            Application(invoice=i, amount=Decimal(a), amount_invoice=Decimal(a), applied_on=posted) for i, a in applied
        ),
        "reported_unapplied": None,
        "deposit_to": None,
        "memo": None,
        "state": PostingState.POSTED,
        "voided_on": None,
    }
    return Payment(**{**given, **more})
