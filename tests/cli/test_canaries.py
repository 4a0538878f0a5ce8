"""Secrets with an unmistakable mark are planted wherever one may stand; then everything is run, and every byte searched.

The mark is searched for as it is, in base64, hex, URL-encoding, JSON escapes and UTF-16, in all that was printed, logged
or written: files, the state database (what it packed is unpacked), packs, workbooks and PDFs, and in the repr of every
object of ours. Only the store of sign-ins is meant to hold them, and it is encrypted.
"""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import re
import sqlite3
import tempfile
import traceback
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.cli.conftest import Ran
from tests.cli.office import Office
from tieout.config import load
from tieout.config.opening import open_connection, secret_store
from tieout.connectors.http import telling
from tieout.connectors.quickbooks import open_quickbooks
from tieout.connectors.sage_x3 import open_sage_x3
from tieout.errors import TieoutError
from tieout.model import Entity
from tieout.sandbox import sage_x3
from tieout.sandbox.quickbooks import Books, Registration, oauth, running

MARK = "kAnArY"
QBO_SECRET = f"{MARK}-app+secret/=&é\"'<>"
REFRESH = f"AB11{MARK}refresh-0"
PASSWORD = f"{MARK} soap:pass\\word&<é>"
DATABASE = f"{MARK}-db/pass?word@1"
STORE_KEY = base64.b64encode(f"{MARK}-key-of-the-store-32-byte!".encode().ljust(32, b"!")).decode()
SIGNING_KEY = base64.b64encode(f"{MARK}-key-that-signs-evidence".encode().ljust(32, b"!")).decode()


def spellings(text: str) -> set[bytes]:
    """How a text may stand in a file: as it is, hexadecimal, base64 at any place, %XX, \\uXXXX, UTF-16."""
    raw = text.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), quote(text).encode()}
    found |= {text.encode("utf-16-le"), text.encode("utf-16-be")}
    found |= {"".join(f"%{b:02x}" for b in raw).encode(), "".join(f"\\u{ord(c):04x}" for c in text).encode()}
    for before in range(3):  # what stands before moves the bits; the first and last letters depend on the neighbours
        coded = base64.b64encode(b"\0" * before + raw + b"\0" * ((-before - len(raw)) % 3)).decode()
        found.add(coded[(before * 8 + 5) // 6 : len(coded) - ((-before - len(raw)) % 3) - 1].encode())
    return found


NEEDLES = sorted({spelled.lower() for spelled in spellings(MARK)})


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what is packed in them: members of zips, streams of PDFs, what zlib packed."""
    yield data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from unpacked(archive.read(name))
    elif data.startswith(b"%PDF"):
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
            yield from unpacked(stream)
    elif data[:1] == b"\x78":
        box = zlib.decompressobj()
        try:
            yield from unpacked(box.decompress(data))
        except zlib.error:
            return
    elif data.startswith(b"SQLite format 3"):
        yield from rows(data)


def rows(data: bytes) -> Iterator[bytes]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(data)
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f'SELECT * FROM "{name}"'):
                for value in row:
                    if isinstance(value, str | bytes):
                        yield from unpacked(value.encode("utf-8", "replace") if isinstance(value, str) else value)


def seen(data: bytes) -> list[str]:
    """Where the mark stands in it, with what stands around."""
    found = []
    for part in unpacked(data):
        low = part.lower()
        places = [at for needle in NEEDLES if (at := low.find(needle)) >= 0]
        found += [part[max(0, at - 60) : at + 80].decode("latin-1") for at in places]
    return found


@dataclass
class Desk:
    """An office under watch: `leaks` is what was found, by where."""

    it: Office
    x3: sage_x3.Running
    log: io.StringIO
    leaks: dict[str, list[str]] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)

    def look(self, where: str, data: bytes) -> None:
        if found := seen(data):
            self.leaks.setdefault(where, found[:3])

    def run(self, *words: str | Path, stdin: str = "", debug: bool = True) -> Ran:
        ran = self.it.run(*words, *(["--debug"] if debug else []), stdin=stdin)
        self.look("tieout " + " ".join(map(str, words)), (ran.stdout + ran.stderr).encode())
        self.codes.append(ran.returncode)
        return ran

    def files(self, root: Path, *, but: set[Path]) -> int:
        """Look at every file below; how many there were."""
        every = [p for p in root.rglob("*") if p.is_file() and p not in but]
        for path in every:
            self.look(str(path.relative_to(root)), path.name.encode() + b"\n")
            self.look(str(path.relative_to(root)), path.read_bytes())
        return len(every)

    def objects(self, when: str) -> int:
        """Look at the repr of every object of the program that is alive; how many there were."""
        gc.collect()
        every = [(o, str(getattr(type(o), "__module__", ""))) for o in gc.get_objects()]
        every = [o for o, of in every if of.startswith("tieout.") and not of.startswith("tieout.sandbox")]
        for one in every:
            self.look(f"{when}: repr of {type(one).__qualname__}", f"{one!r} {one}".encode("utf-8", "replace"))
        return len(every)


class Ring:
    """A keyring that keeps; the interface of the `keyring` package."""

    priority = 5

    def get_password(self, service: str, name: str) -> str | None:
        return {("office", "x3"): PASSWORD}.get((service, name))


X3 = """
[connection.x3]
kind = "sage-x3"
url = "{url}"
user = "{user}"
password = {{ keyring = "office/x3" }}
pool = "{pool}"
company = "HLS"
currency = "USD"
cancelled = ["5"]
services = {{ BPC = "WSBPC", SIH = "WSSIH", PAY = "WSPAY" }}
[connection.x3.attributes]
ALLOC = "application"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    import keyring

    monkeypatch.setattr(keyring, "get_keyring", Ring)
    for waits in (telling, open_quickbooks, open_sage_x3):  # the time between two attempts passes at once
        monkeypatch.setitem(waits.__kwdefaults__, "sleep", lambda _: None)
    for name in ("home", "tmp", "books"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    watched = [logging.getLogger(n) for n in ("", "tieout", "urllib3", "requests", "zeep", "keyring", "alembic")]
    levels = [logger.level for logger in watched]
    logging.getLogger().addHandler(handler)
    for logger in watched[1:]:
        logger.setLevel(logging.DEBUG)
    made = oauth.secrets.token_urlsafe
    monkeypatch.setattr(oauth.secrets, "token_urlsafe", lambda n: f"{MARK}{made(n)}")  # whatever the stand-in issues
    x3_books = sage_x3.Books("empty", sage_x3.Switches(company_currency="USD"))
    with (
        running(Books("empty"), registration=Registration(client_secret=QBO_SECRET, refresh_token=REFRESH)) as site,
        sage_x3.running(x3_books, registration=sage_x3.Registration(password=PASSWORD)) as x3,
    ):
        (tmp_path / "secret.txt").write_text(QBO_SECRET + "\n", "utf-8")
        # What a program that tieout starts is given is searched like all that is written.
        tells = tmp_path / "tells"
        tells.write_text(f'#!/bin/sh\nenv >> "{tmp_path}/environment"\ncat "{tmp_path}/secret.txt"\n', "utf-8")
        tells.chmod(0o700)
        monkeypatch.setenv("TIEOUT_SECRET_KEY", STORE_KEY)
        env = {
            "TIEOUT_SECRET_KEY": STORE_KEY,
        }
        it = Office(tmp_path / "books", site, "propose", env)
        it.configure()
        text = (it.folder / "tieout.toml").read_text("utf-8")
        text = text.replace('{ env = "QBO_SECRET" }', f'{{ command = ["{tells}"] }}')
        text = text.replace("[pair.main]", X3.format(url=x3.endpoint, user=x3.user, pool=x3.pool) + "[pair.main]", 1)
        (it.folder / "tieout.toml").write_text(text, "utf-8")
        it.erp(sample=8)
        secret_store(load(it.folder / "tieout.toml")).write("evidence", "signing-key", SIGNING_KEY)
        yield Desk(it, x3, log)
    logging.getLogger().removeHandler(handler)
    for logger, level in zip(watched, levels, strict=True):
        logger.setLevel(level)


def echoes(desk: Desk) -> list[dict[str, Any]]:
    """Answers that repeat what was sent, in the forms that errors of vendors, gateways and proxies have."""
    token = list(desk.it.site.authority._access)[-1]
    basic = base64.b64encode(f"{desk.it.site.client_id}:{QBO_SECRET}".encode()).decode()
    fault = {"Message": f"Unauthorized token {token}", "Detail": f"Authorization: Bearer {token}", "code": "2050"}
    return [
        {"status": 400, "body": json.dumps({"Fault": {"Error": [fault]}}), "content_type": "application/json"},
        {"status": 400, "body": json.dumps({"error": f"invalid token {token}", "error_description": basic})},
        {"status": 403, "body": f"<html>request: GET / token {token} {basic}</html>"},
        {
            "status": 500,
            "body": f'<Fault><Error code="500"><Message>{token}</Message><Detail>x-auth {token}</Detail></Error></Fault>',
        },
        {"status": 200, "body": f"{{{token}"},
        {"status": 302, "body": token},
        {"status": 400, "body": json.dumps({"headers": {"authorization": ["Bearer", token]}})},
        {"status": 400, "body": quote(f"refresh_token={REFRESH}&client_secret={QBO_SECRET}&x={token}", safe="")},
    ]


FAULT = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>'
    "<faultcode>soapenv:Server</faultcode><faultstring>{}</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)
PERIOD = ("--from", "2026-11-01", "--as-of", "2026-11-30")
# What somebody may write into tieout.toml by mistake.
MISTAKES = [
    f'[connection.a]\nkind = "quickbooks"\ncompany_id = "1"\nclient_id = "i"\nclient_secret = "{MARK}1"\n',
    f'[connection.a]\nkind = "quickbooks"\nclient_secret = {MARK}2\n',
    f'[connection.a]\nkind = "quickbooks"\nclient_id = "i"\napi_base = "https://u:{MARK}3@intuit.example"\n',
    f'[connection.a]\nkind = "sage-x3"\nurl = "https://u:{MARK}4@sage.example"\npassword = {{ env = "A" }}\n',
    f'[connection.a]\nkind = "sage-x3"\npasword = "{MARK}5"\n',
    f'[connection.a]\nkind = "sage-x3"\npassword = {{ command = "echo {MARK}6" }}\n',
    f'[state]\nurl = "postgresql://u:{MARK}7@host/db"\n',
    f'[state]\nurl = "mysql://u:{MARK}8@host/db"\n',
    f'[secrets]\nkey = "{MARK}9"\n',
]


def test_no_secret_is_anywhere_but_where_it_is_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, site = desk.it, desk.it.site
    config = it.folder / "tieout.toml"
    sound = config.read_text("utf-8")

    # Signed in wrongly, then well; everything read; a plan, approved and carried out.
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin=f"AB11{MARK}wrong").returncode == 4
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin=f"AB11{MARK}\r\nX: y{MARK}").returncode
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin=site.refresh_token).returncode == 0
    assert desk.run("check").returncode in (0, 2)
    assert desk.run("connect", "x3").returncode in (0, 2)
    desk.run("pull", "--json")
    assert desk.run("sync", "--json").returncode in (0, 4)
    plan = json.loads(desk.run("plan", "show", "--json", debug=False).stdout)["plans"][0]["id"]
    assert desk.run("plan", "show", plan).returncode == 0
    assert desk.run("plan", "approve", plan, "--by", "Ada").returncode == 0
    send, posted = requests.Session.send, []

    def failing_at_last(self: requests.Session, request: requests.PreparedRequest, **more: Any) -> Any:
        if request.method == "POST" and "/invoice" in str(request.url):
            posted.append(request.url)
            if len(posted) > 2:
                raise ValueError(f"cannot send {request.headers}")
        return send(self, request, **more)

    # Of the writes, the first are answered with echoes, the rest fail in a library that repeats what it was given.
    rules = [
        site.faults.arm("answer", method="POST", path="/invoice", nth=n, **answer)
        for n, answer in enumerate(echoes(desk)[:2], 1)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "send", failing_at_last)
        desk.run("sync", "--apply", "--json")
    assert len(posted) > 2
    assert {i for call in site.faults.log for i in call.fired} >= {rules[0].id, rules[1].id}
    site.faults.disarm()
    sound = sound.replace('mode = "propose"', 'mode = "auto"')
    config.write_text(sound, "utf-8")

    # What goes wrong at any request, and repeats what was sent; tokens that end and are renewed.
    places = {"": {}, "sign-in": {"path": "tokens/bearer"}}
    for n, answer in enumerate(echoes(desk)):
        for place in ("sign-in", "") if n % 3 == 1 else ("",):
            site.authority.expire_access()
            it.erp()
            site.faults.arm("answer", times=0, **answer | places[place])
            desk.run("sync", "--apply", "--full")
            site.faults.disarm()
    site.authority.expire_access()
    desk.run("sync", "--apply")
    for kind in ("drop", "truncate"):
        site.faults.arm(kind, times=3)
        desk.run("sync", "--apply", "--full", "--quiet")
        site.faults.disarm()
    site.authority.revoke_all()
    assert desk.run("pull", "quickbooks").returncode == 4

    # Sage X3: an answer that repeats the sign-in, as a fault, as a message and as a page.
    basic = base64.b64encode(f"{desk.x3.user}:{PASSWORD}".encode()).decode()
    for body in (
        f"<html>401 for Basic {basic}</html>",
        PASSWORD,
        FAULT.format(escape(f"{basic} {PASSWORD} {quote(PASSWORD)}")),
    ):
        for status in (200, 401, 500):
            desk.x3.faults.arm("answer", times=0, status=status, body=body, content_type="text/xml")
            assert desk.run("pull", "x3", "--json").returncode
            desk.x3.faults.disarm()

    # A library that fails and repeats what it was given; tokens that are none; the wrong database.
    site.authority.connect()
    assert desk.run("connect", "quickbooks", "--token-stdin", stdin=site.authority.connect()).returncode == 0

    def failing(self: requests.Session, request: requests.PreparedRequest, **_: Any) -> None:
        raise RuntimeError(f"cannot send {request.headers} {request.body!r}")

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "send", failing)
        for words in (("pull", "quickbooks"), ("pull", "x3"), ("sync", "--apply"), ("connect", "x3")):
            assert desk.run(*words, "--json").returncode
    answer = {"access_token": f"eyJ{MARK}\r\nX: {MARK}", "refresh_token": f"AB{MARK}", "expires_in": 3600}
    site.authority.expire_access()
    site.faults.arm("answer", status=200, body=json.dumps(answer), path="tokens/bearer", times=0)
    assert desk.run("pull", "quickbooks").returncode == 3
    site.faults.disarm()
    it.env["DATABASE_URL"] = f"postgresql://tieout:{quote(DATABASE, safe='')}@127.0.0.1:1/x"
    config.write_text(sound + '[state]\nurl = { env = "DATABASE_URL" }\n', "utf-8")
    for words in (("check",), ("sync", "--apply"), ("discrepancies", "list"), ("evidence", "verify")):
        assert desk.run(*words).returncode
    for wrong in MISTAKES:
        config.write_text(sound + wrong, "utf-8")
        assert desk.run("check", "--json").returncode == 2, wrong
    config.write_text(sound, "utf-8")
    del it.env["DATABASE_URL"]

    # All that is handed on: reports in every form, differences, packs, keys for auditors.
    desk.run("sync", "--apply")
    run = json.loads(desk.run("sync", "--apply", "--json", debug=False).stdout)["runs"][0]["run"]
    out = tmp_path / "out"
    out.mkdir()
    for form in ("json", "csv", "xlsx", "html", "pdf"):
        ran = desk.run(
            "report", "interface-log", "--pair", "main", *PERIOD, "--format", form, "-o", out / f"log.{form}"
        )
        assert ran.returncode == 0, ran.stderr
    assert desk.run("report", "aging", "--pair", "main", "--as-of", "2026-11-30").returncode == 0
    assert desk.run("discrepancies", "export", "main", "-o", out / "differences.csv").returncode == 0
    assert desk.run("evidence", "pack", run[:13], "-o", out / "run.zip").returncode == 0
    assert desk.run("evidence", "key", "-o", out / "auditor.pem").returncode == 0
    assert desk.run("evidence", "verify").returncode == 0
    assert desk.run("evidence", "verify", out / "run.zip").returncode in (0, 4)

    # What is alive: every object of ours, with connections open and after one failed; every error with its causes.
    settings = load(config)
    for name in ("quickbooks", "x3"):
        connector = open_connection(settings, name, clock=lambda: datetime.now(UTC), sleep=lambda _: None)
        with closing(connector):
            company = connector.company()
            desk.look(f"company of {name}", repr(company).encode())
            assert desk.objects(f"{name} open") > 20
            site.faults.arm("answer", times=0, **echoes(desk)[0])
            desk.x3.faults.arm("answer", times=0, status=500, body=FAULT.format(basic))
            with pytest.raises(TieoutError) as raised:
                list(connector.pull(Entity.INVOICE, None).observations)
            desk.look(f"error of {name}", "".join(traceback.format_exception(raised.value)).encode())
            site.faults.disarm()
            desk.x3.faults.disarm()

    # The canaries were there, and alive: both systems took them, and the store holds them encrypted.
    store = secret_store(settings)
    kept = [store.read("quickbooks", "tokens"), store.read("evidence", "signing-key")]
    assert all(k is not None and seen(k.current.encode()) for k in kept)
    assert set(desk.codes) >= {0, 2, 3, 4, 5}
    desk.look("logs", desk.log.getvalue().encode())
    assert len(desk.log.getvalue()) > 1000
    assert "PATH=" in (tmp_path / "environment").read_text("utf-8")
    assert desk.files(tmp_path, but={tmp_path / "secret.txt"}) > 40
    assert desk.leaks == {}


def test_the_search_sees_the_mark_in_every_form_of_a_file(tmp_path: Path) -> None:
    text = f"a secret: {MARK}!"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("x", zlib.compress(text.encode()))
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("CREATE TABLE t (body BLOB)")
        db.execute("INSERT INTO t VALUES (?)", [archive.getvalue()])
        db.commit()
    forms = [
        text.encode(), text.encode("utf-16"), text.encode().hex().encode(), quote(text).encode(), json.dumps(text).encode(),
        *(base64.b64encode(b"." * n + text.encode()) for n in range(6)), base64.urlsafe_b64encode(text.encode()),
        b"%PDF-1.7 stream\n" + zlib.compress(text.encode()) + b"\nendstream", (tmp_path / "x.db").read_bytes(),
        "".join(f"\\u{ord(c):04x}" for c in text).encode(), text.upper().encode(),
    ]  # fmt: skip
    assert all(map(seen, forms))
    assert not seen(b"nothing of it, though a canary is spoken of")
