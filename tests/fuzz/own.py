"""What tieout reads back of its own, and what its user types: a copy of it may be damaged, old, or somebody else's."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import click
import sqlalchemy as sa

from tests.fuzz.answers import Line, reply
from tests.fuzz.files import FOLDER, put
from tests.fuzz.frame import Broken, Target
from tests.fuzz.mutation import BINARY, CSV, JSON, TEXT, TOML, XML, unzipped
from tests.scenarios.world import invoice, payment
from tests.unit.evidence.past import KEYS, SIGNER, kept_past, opened
from tieout.cli.days import DAY, MOMENT
from tieout.cli.failures import explain
from tieout.cli.report_audit import _Amounts
from tieout.cli.report_close import _Amount
from tieout.cli.report_ledgers import _Buckets
from tieout.cli.setup import _LONGEST_TOKEN as MOST_READ
from tieout.cli.setup import typed_token
from tieout.config import load as load_settings
from tieout.config import secrets as sign_ins
from tieout.config.evidence import told
from tieout.config.opening import to_pair
from tieout.config.settings import SecretsSettings
from tieout.connectors.quickbooks.oauth import App, TokenManager
from tieout.connectors.sage_x3.changes import split
from tieout.connectors.tabular.outbox import Item, Outbox
from tieout.errors import ConfigError, TieoutError
from tieout.evidence import pack, unpack
from tieout.evidence.anchors import newest, parse
from tieout.evidence.chain import examine_journal
from tieout.evidence.keys import public_key
from tieout.evidence.verify import verify
from tieout.mapping.tabular import list_profiles, load_profile
from tieout.mapping.writing import list_import_profiles, load_import_profile
from tieout.model import Ref
from tieout.reports.cash.remittance import discount, named, numbers
from tieout.sync import schema
from tieout.sync.store import Store, open_store

NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)

# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SETTINGS = """[company]
name = "Example Trading Ltd"
[state]
url = "sqlite:///tieout.db"
[evidence]
anchors = ["a.jsonl"]
[connection.quickbooks]
kind = "quickbooks"
company_id = "1234567890"
environment = "sandbox"
client_id = { env = "QBO_CLIENT_ID" }
client_secret = { command = ["pass", "show", "x"] }
[connection.erp]
kind = "tabular"
folder = "erp/export"
outbox = "erp/import"
currency = "USD"
exports = [
  { glob = "customers*.csv", profile = "customers" },
  { glob = "documents*.csv", profile = "documents", entity = "invoice" },
]
imports = { customer = "import-customers", invoice = ["import-documents"] }
[pair.main]
left = "erp"
right = "quickbooks"
mode = "propose"
cutover = 2026-01-01
linked_owner = "none"
unattended = ["credit_memo"]
[pair.main.flows]
customer = "both"
[pair.main.policy]
invoice.memo = "two_way"
[pair.main.codes.taxes]
"A1" = "TAX"
[pair.main.limits]
creates = 50
creates_percent = 2.5
money = { USD = "250000.00" }
[pair.main.rounding]
per_document = "0.02"
total = "1.00"
[pair.main.checks]
unique_numbers = ["left", "right"]
stale_after_days = 8
aged_after_days = "never"
"""  # fmt: skip


def _settings() -> list[bytes]:
    return [SETTINGS.encode(), (files("tieout.config") / "template.toml").read_bytes()]


def _read_settings(data: bytes) -> None:
    """Whatever is accepted can be told, and made into what the engine runs on."""
    settings = load_settings(put(data, "tieout.toml"))
    json.dumps(told(settings))
    for name in settings.pairs:
        pair = to_pair(settings, name)
        if len(pair.config_hash) < 8:
            raise Broken("a pair without a hash")


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _profiles() -> list[bytes]:
    return [(files("tieout.mapping") / "profiles" / f"{n}.toml").read_bytes() for n in list_profiles()]


def _imports() -> list[bytes]:
    return [
        (files("tieout.mapping") / "profiles" / "imports" / f"{n}.toml").read_bytes() for n in list_import_profiles()
    ]


# ── sign-ins ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KEY = base64.b64encode(bytes(range(32))).decode()
TOKENS = {
    "realm": "1", "access": "a", "refresh": "r", "access_until": "2026-02-02T10:00:00+00:00",
    "refresh_until": "2026-05-02T10:00:00+00:00", "obtained": "2026-02-02T09:00:00+00:00", "serial": 3,
}  # fmt: skip


def _store() -> sign_ins.SecretStore:
    folder = FOLDER / "sign-ins"
    folder.mkdir(mode=0o700, exist_ok=True)
    return sign_ins.open_store(
        SecretsSettings(folder=folder, store="file"), company="Example", environ={sign_ins.KEY_VARIABLE: KEY}
    )


def _sealed() -> list[bytes]:
    store = _store()
    store.forget("qbo", "tokens")
    store.write("qbo", "tokens", json.dumps(TOKENS))
    one = (store.folder / "qbo.tokens.secret").read_bytes()
    store.write("qbo", "tokens", "other")
    return [one, (store.folder / "qbo.tokens.secret").read_bytes()]


def _kept(data: bytes) -> None:
    """A file of the secret store: what was kept, or a refusal; never something else."""
    store = _store()
    put(data, "qbo.tokens.secret", store.folder)
    kept = store.read("qbo", "tokens")
    if kept is None or kept.current not in (json.dumps(TOKENS), "other"):
        raise Broken("a damaged file gives a secret that nobody kept")


def _key_of_sign_ins(data: bytes) -> None:
    """A file that holds the key: what it seals is opened with it and with no other, or it is refused by its name."""
    path = put(data, "key.b64")
    path.chmod(0o600)
    folder = FOLDER / "own-key"
    shutil.rmtree(folder, ignore_errors=True)
    settings = SecretsSettings(folder=folder, store="file", key_file=path)
    store = sign_ins.open_store(settings, company="Example", environ={})
    store.write("qbo", "tokens", "kept")
    kept = store.read("qbo", "tokens")
    if kept is None or kept.current != "kept":
        raise Broken("what was sealed is not opened again")
    raw = base64.b64decode(data.translate(bytes.maketrans(b"-_", b"+/")))
    if len(raw) != 32:
        raise Broken("a key out of something else than 32 bytes")
    if raw != base64.b64decode(KEY):
        other = sign_ins.open_store(settings, company="Example", environ={sign_ins.KEY_VARIABLE: KEY})
        with contextlib.suppress(ConfigError):
            raise Broken(f"another key opens it: {other.read('qbo', 'tokens')}")


def _token(data: bytes) -> None:
    """What comes on standard input as a token goes into a header and a form as it is, or nowhere."""
    stream = io.BytesIO(data)
    token = typed_token(stream)
    if not token.isascii() or not token.isprintable() or " " in token or token.encode() not in data:
        raise Broken(f"a token that is none: {token[:60]!r}")
    if stream.tell() > MOST_READ + 1:
        raise Broken("it reads without end")


class _Kept:
    """A store in which the input is kept as what the connection says of itself."""

    def __init__(self, name: str, text: str) -> None:
        self._texts = {"tokens": json.dumps(TOKENS), "sign-in": json.dumps(TOKENS), name: text}

    def read(self, _connection: str, name: str) -> Any:
        text = self._texts.get(name)
        return None if text is None else sign_ins.Kept(1, text, None)

    def write(self, _connection: str, name: str, value: str) -> Any:
        self._texts[name] = value

    def probe(self) -> None: ...

    def lock(self, _connection: str) -> Any:
        return contextlib.nullcontext()


def _envelopes() -> list[bytes]:
    return [
        json.dumps({"generation": 2, "current": "x", "previous": "y"}).encode(),
        b'{"generation":1,"current":"x","previous":null}',
    ]


class _Backend:
    def __init__(self, text: str) -> None:
        self.text = text

    def get(self, _connection: str, _name: str) -> str:
        return self.text

    def set(self, _connection: str, _name: str, text: str | None) -> None:
        self.text = text or ""


def _envelope(data: bytes) -> None:
    """What the keyring gives back: a secret of two generations, which the next write can follow."""
    store = sign_ins.SecretStore(FOLDER, _Backend(data.decode("utf-8", "surrogateescape")))
    kept = store.read("qbo", "tokens")
    if kept is not None and not (isinstance(kept.current, str) and isinstance(kept.previous, str | None)):
        raise Broken("a secret that is no text")
    store.write("qbo", "tokens", "new")


def _manager(name: str, data: bytes, answer: bytes) -> TokenManager:
    return TokenManager(
        "qbo",
        company_id="1",
        app=lambda: App("id", "secret"),
        store=_Kept(name, data.decode("utf-8", "replace")),
        transport=Line([reply(400 if b"error" in answer else 200, answer)]),
        clock=lambda: NOW,
    )


def _sign_in(data: bytes) -> None:
    """A sign-in gives the access token that is in it, or asks for another sign-in."""
    token = _manager("tokens", data, b'{"error":"invalid_grant"}').access(None)
    if token not in (json.loads(data.decode("utf-8", "replace"))["access"]):
        raise Broken("an access token out of nothing")


def _watch(data: bytes) -> None:
    """A note that is damaged keeps nobody from signing in."""
    _manager("watch", data, b'{"access_token":"new","refresh_token":"r2","expires_in":3600}').access("a")


# ── evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _evidence() -> tuple[bytes, bytes]:
    """(a journal, the pack of a run) of a small past."""
    kept = kept_past()
    store, _ = opened(kept.last)
    ended = store.rows(sa.select(schema.run.c.id).where(schema.run.c.status == "ok").order_by(schema.run.c.started_at))
    out = io.BytesIO()
    journals = [examine_journal("journal", kept.lines, KEYS)]
    pack.write(out, store, journals, SIGNER, run=ended[0]["id"], company="Example Ltd")
    store.close()
    return b"".join(kept.lines), out.getvalue()


def _journal(data: bytes) -> None:
    """Nothing but what was signed is an anchor; the newest is one of those, or the journal is refused."""
    path = put(data, "anchors.jsonl")
    good = set(_evidence()[0].split(b"\n"))
    lines = data.splitlines(keepends=True) if b"\r" not in data else [x + b"\n" for x in data.split(b"\n")]
    found = examine_journal("journal", lines, KEYS)
    if any(a.line.encode() not in good for a in found.anchors):
        raise Broken("a line that nobody signed is an anchor")
    whole = [line for line in data.split(b"\n") if line]
    if not found.findings and any(parse(line) is None for line in whole[:-1]):
        raise Broken("a line that is no anchor is passed over")
    last = newest(path, SIGNER.public)
    if last is not None and last.line.encode() not in good:
        raise Broken("the newest anchor is one that nobody signed")


def _pack(data: bytes) -> None:
    """Only what says the same as the pack that was made proves anything."""
    found = unpack.verify(io.BytesIO(data), name="fuzzed.zip", keys=[SIGNER.public])
    if found.exit_code == 0 and dict(unzipped(data)) != dict(unzipped(_evidence()[1])):
        raise Broken("another pack proves as well")


def _public(data: bytes) -> None:
    if public_key(data, "fuzzed.pem").id == SIGNER.public.id and b"PUBLIC KEY" not in data:
        raise Broken("a key out of nothing")


def _keys() -> list[bytes]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def pem(key: Any) -> bytes:
        made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return made

    other = [pem(ec.generate_private_key(ec.SECP256R1())), pem(rsa.generate_private_key(65537, 2048))]
    return [SIGNER.public.pem().encode(), *other]


# ── the memory of import files, the state ────────────────────────────────────────────────────────────────────────────


def _outbox() -> Outbox:
    return Outbox(FOLDER / "outbox", clock=lambda: NOW)


def _handed() -> list[bytes]:
    shutil.rmtree(FOLDER / "outbox", ignore_errors=True)
    (FOLDER / "outbox").mkdir()
    _outbox().emit(
        "invoices", b"x,y\r\n1,2\r\n", [Item("K1", "TO-K1", "USD", Decimal("7.50"))], about={"run": "R"}, rows=1
    )
    return [p.read_bytes() for p in (FOLDER / "outbox" / "emitted").iterdir()]


def _memory(at: str) -> Callable[[bytes], None]:
    """A manifest of ours that was damaged: what was handed over is known, or nothing is written."""

    def law(data: bytes) -> None:
        folder = FOLDER / "outbox"
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("", "emitted", "tmp"):
            (folder / name).mkdir()
        put(data, "000001.manifest.json", folder / at)
        box = _outbox()
        box.recover()
        known = box.emitted()
        if any(not isinstance(text, str) for e in known.values() for text in (e.key, e.marker, e.file, e.created_at)):
            raise Broken("a record was handed over that has no name")
        box.emit("invoices", b"x\r\n", [Item("K2", "TO-K2", "USD", Decimal(1))], about={}, rows=1)
        if not known.keys() <= box.emitted().keys():
            raise Broken("what was handed over is forgotten")
        if any(p for p in FOLDER.parent.glob("*.import.csv")) or any(p for p in FOLDER.glob("*.import.csv")):
            raise Broken("a file outside of the outbox")

    return law


def _database() -> list[bytes]:
    path = FOLDER / "state.db"
    path.unlink(missing_ok=True)
    open_store(f"sqlite:///{path}", clock=lambda: NOW).close()
    return [path.read_bytes()]


def _runs(store: Store) -> object:
    return store.rows(sa.select(schema.run))


def _proved(store: Store) -> None:
    """The proof of a state, as `tieout evidence verify` makes it."""
    verify(store, [examine_journal("journal", kept_past().lines, KEYS)])


def _state(data: bytes, use: Callable[[Store], object]) -> None:
    """A database file: the state, or what the command would say of it."""
    path = put(data, "state.db")
    for beside in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    store = None
    try:
        store = open_store(f"sqlite:///{path}", clock=lambda: NOW)
        use(store)
    except TieoutError:
        raise
    except Exception as error:  # the one place that knows foreign exceptions
        said = explain(error)
        if said.message.startswith("unexpected"):
            raise
        raise ConfigError(said.message) from None
    finally:
        if store is not None:
            store.close()


# ── what is typed ────────────────────────────────────────────────────────────────────────────────────────────────────


def _typed(kind: click.ParamType, check: Callable[[Any], bool], text: bytes) -> None:
    value = kind.convert(os.fsdecode(text), None, None)
    if not check(value):
        raise Broken(f"{text[:60]!r} became {value!r}"[:200])


def _is_day(text: bytes) -> Callable[[Any], bool]:
    return lambda d: isinstance(d, datetime) and (d.date() == date.fromisoformat(text.decode()))


def _day(data: bytes) -> None:
    _typed(DAY, _is_day(data), data)


def _moment(data: bytes) -> None:
    """A day is all of it, however it is written."""

    def check(value: Any) -> bool:
        try:
            on = date.fromisoformat(data.decode())
        except ValueError:
            return isinstance(value, datetime) and value.tzinfo is not None
        return bool(value == datetime.combine(on, datetime.max.time(), UTC))

    _typed(MOMENT, check, data)


def _finite(value: Any) -> bool:
    """An amount that can be printed."""
    amount = value[1] if isinstance(value, tuple) else value
    return amount is None or (amount.is_finite() and len(f"{amount:f}") < 1000)


def _parameters() -> list[Target]:
    dates = lambda: [b"2026-01-31", b"20260131", b"2026-01-31T17:30", b"2026-01-31T17:30:00+02:00", b"2026-W05-6"]  # noqa: E731
    usage: Any = {"refusals": (click.UsageError,), "form": TEXT, "most": 300}
    return [
        Target("typed day", dates, _day, **usage),
        Target("typed moment", dates, _moment, **usage),
        Target("typed amount", lambda: [b"1000.00", b"-5"], lambda d: _typed(_Amount(), _finite, d), **usage),
        Target("typed amounts", lambda: [b"USD=1000.00"], lambda d: _typed(_Amounts(), _finite, d), **usage),
        Target("typed buckets", lambda: [b"30,60,90"], lambda d: _typed(_Buckets(), lambda v: len(v) > 0, d), **usage),
    ]


# ── what a payment's text and a customer's terms say ─────────────────────────────────────────────────────────────────

BILLS = tuple(
    invoice("CUS-1", "100.00", number=n, ref=Ref(connection="erp", id=n, number=None, version=None), po_number=order)
    for n, order in (
        ("RE-2026/04711", "4500012345"),
        ("I-3", None),
        ("K-1", None),
        ("90", "PO-77"),
        ("2026-0815", None),
    )
)


def _remittance(data: bytes) -> None:
    """What a text names is in the text, is a document that there is, and each set of documents is named once."""
    text = data.decode("utf-8", "replace")
    paid = payment("CUS-1", "100.00", reference=text[:40]).model_copy(update={"memo": text})
    found = named(paid, numbers(BILLS))
    if any(n.said not in text or not set(n.documents) <= set(BILLS) or not n.documents for n in found):
        raise Broken("it names what is not there")
    if len({n.documents for n in found}) != len(found):
        raise Broken("it names the same twice")


def _terms(data: bytes) -> None:
    """A discount is a part of the amount, until a day that is not before the invoice; or there is none."""
    found = discount(data.decode("utf-8", "replace"), BILLS[0])
    if found is None:
        raise ConfigError("no discount")
    if not 0 < found.of(Decimal(100), "USD") < 100 or found.last < BILLS[0].issued:
        raise Broken(f"a discount of {found}")


def targets() -> list[Target]:
    """Every parser of what is tieout's own, and of what is typed."""
    zipped = replace(JSON, zipped=True)
    return [
        Target("tieout.toml", _settings, _read_settings, TOML, where="tieout.toml", weight=8),
        Target("profile", _profiles, lambda d: load_profile(put(d, "own.toml")), TOML, where="own", weight=6),
        Target(
            "import profile", _imports, lambda d: load_import_profile(put(d, "own.toml")), TOML, where="own", weight=3
        ),
        Target("secret file", _sealed, _kept, JSON, where="qbo"),
        Target("kept secret", _envelopes, _envelope, JSON, where="qbo"),
        Target("kept sign-in", lambda: [json.dumps(TOKENS).encode()], _sign_in, JSON, where="qbo"),
        Target("kept watch", _watched, _watch, JSON, where="qbo"),
        Target("key of sign-ins", lambda: [KEY.encode(), KEY.encode() + b"\n"], _key_of_sign_ins, where="key.b64"),
        Target("token on standard input", lambda: [b"AB11a-b.c_d\r\n"], _token, refusals=(click.UsageError,)),
        Target(
            "remittance text",
            lambda: [b"RE 2026 / 04711, PO 4500012345; I-3 less K-1\n90 ./. 0815", "Rg. 04711 abzüglich K-1".encode()],
            _remittance,
            refuses=False,
        ),
        Target("terms", lambda: [b"2/10 net 30", b"2% 10 days, net 30", b"1.5 / 8, n 30", b"30 days"], _terms),
        Target("anchors", lambda: [_evidence()[0]], _journal, JSON, weight=10),
        Target("evidence pack", lambda: [_evidence()[1]], _pack, zipped, where="fuzzed.zip", weight=20),
        Target("public key", _keys, _public, XML, where="fuzzed.pem"),
        Target("memory of import files", _handed, _memory("emitted"), JSON, weight=10),
        Target("draft of an import file", _handed, _memory("tmp"), JSON, weight=10, refuses=False),
        Target("state database", _database, lambda d: _state(d, _runs), BINARY, weight=60, most=1 << 19),
        Target(
            "state under proof",
            lambda: [kept_past().last],
            lambda d: _state(d, _proved),
            BINARY,
            weight=200,
            most=2 << 20,
        ),
        Target("export file of X3", _exported, lambda d: list(split(d.decode("utf-8", "replace"))), CSV),
        *_parameters(),
    ]


def _watched() -> list[bytes]:
    at = NOW.isoformat()
    return [json.dumps(d).encode() for d in ({"refused": 3, "since": at, "asked": at}, {"warned": 7})]


def _exported() -> list[bytes]:
    return [b'B;C1;20260131101500;x|B;C2;20260131101500;"a;b"|END|']
