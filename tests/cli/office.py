"""A finance office on this machine: QuickBooks on loopback, an ERP that speaks in files, and `tieout`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from tests.cli.conftest import PROGRAM, Ran, here
from tieout.sandbox.file_erp import serve_folder
from tieout.sandbox.quickbooks import Books, Running, Switches, running

DAY = date(2026, 11, 26)
ERP = """\
[connection.erp]
kind = "tabular"
folder = "erp/export"
outbox = "erp/outbox"
currency = "USD"
entity_code = "1000"
settle_seconds = 0
exports = [
  { glob = "customers_*", profile = "customers" },
  { glob = "fbl5n_*", profile = "sap-fbl5n-en" },
]
"""
CONFIG = """
[company]
name = "Example Trading Ltd"
[secrets]
store = "file"
{erp}[connection.erp.imports]
customer = "import-customers"
invoice = "import-sap-posting"
credit_memo = "import-sap-posting"
payment = "import-sap-posting"
{quickbooks}[pair.main]
left = "erp"
right = "quickbooks"
mode = "{mode}"
unattended = ["credit_memo"]
[pair.main.codes.items]
"" = "1"
[pair.main.codes.taxes]
"A0" = "NON"
"A1" = "5"
[pair.main.codes.terms]
"30" = "3"
[pair.main.limits]
creates = 1000
"""


def quickbooks(site: Running, name: str = "quickbooks", *, realm: str = "", base: str = "") -> str:
    """The section of a connection to it. realm, base: another company or address than its own"""
    base = base or site.base_url
    return f"""\
[connection.{name}]
kind = "quickbooks"
company_id = "{realm or site.realm}"
client_id = "{site.client_id}"
client_secret = {{ env = "QBO_SECRET" }}
api_base = "{base}"
discovery_url = "{base}/.well-known/openid_sandbox_configuration"
"""


@dataclass
class Office:
    """`site` is QuickBooks with its faults and its truth; `folder` holds tieout.toml and `erp/`."""

    folder: Path
    site: Running
    mode: str = "auto"
    env: dict[str, str] = field(default_factory=dict)

    def configure(self, **changes: str) -> None:
        text = CONFIG.format(erp=ERP, quickbooks=quickbooks(self.site, **changes), mode=self.mode)
        (self.folder / "tieout.toml").write_text(text, "utf-8")

    def erp(self, sample: int = 0) -> None:
        """One round of the ERP: it loads the outbox, books, exports."""
        serve_folder(
            self.folder / "erp", as_of=lambda: DAY, rounds=1, pause=lambda: None,
            layouts=("customers", "sap-fbl5n-en"), tell=lambda _: None, sample=sample,
        )  # fmt: skip

    def start(self, *words: str | Path, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, *map(str, words)], cwd=self.folder, env=os.environ | self.env | {"PYTHONDONTWRITEBYTECODE": "1"}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
        )  # fmt: skip

    def process(self, *words: str | Path, limits: Callable[[], None] | None = None) -> Ran:
        """`tieout WORDS` as a process of its own; `limits` is called in it before it starts.

        It compiles nothing: what it could write of a module only in part would end every later process.
        """
        program = self.start(*words, preexec_fn=limits)
        out, err = program.communicate(timeout=120)
        return Ran(list(map(str, words)), program.returncode, out, err)

    def run(self, *words: str | Path, stdin: str = "") -> Ran:
        """The same without a new process."""
        return here(self.folder, *words, env=self.env, stdin=stdin)

    def sync(self, *words: str) -> Any:
        """What one `tieout sync --apply` reports of the pair."""
        ran = self.run("sync", "--apply", "--json", *words)
        found = json.loads(ran.stdout)
        assert found["runs"], ran.stderr
        return found["runs"][0]

    def settled(self) -> tuple[int, int]:
        """Rounds of both until nothing is left to write: (invoices in QuickBooks, documents in the ERP), each there once."""
        for _ in range(6):
            run = self.sync()
            if not run["plan"]["operations"] and not run["applied"]["pending"]:
                break
            self.erp()
        else:
            raise AssertionError(run["failures"])
        theirs = [str(row.doc["DocNumber"]) for row in self.site.books.tables["Invoice"].values()]
        assert len(theirs) == len(set(theirs)), "an invoice is in QuickBooks twice"
        books = json.loads((self.folder / "erp" / "books.json").read_text("utf-8"))
        ours = [d["our_reference"] for d in books["documents"] if d["our_reference"]]
        assert len(ours) == len(set(ours)), "a document is in the ERP twice"
        return len(theirs), len(books["documents"])


@contextmanager
def office(
    folder: Path, *, seed: str = "small", mode: str = "auto", sample: int = 6, switches: tuple[str, ...] = ()
) -> Iterator[Office]:
    """Both books open, the configuration written, signed in; the ERP holds `sample` invoices of its own."""
    with running(Books(seed, Switches.parse(switches))) as site:
        it = Office(folder, site, mode, {"QBO_SECRET": site.client_secret})
        it.configure()
        it.erp(sample=sample)
        signed = it.run("connect", "quickbooks", "--token-stdin", stdin=site.refresh_token)
        assert signed.returncode == 0, signed.stderr
        yield it
