"""QuickBooks and Sage X3 in step on this machine, as the page on Sage says: its configuration, its commands, its end."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import here
from tieout.sandbox import quickbooks, sage_x3
from tieout.sandbox.switching import parsed

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "sage.md").read_text("utf-8")
PART = PAGE.partition("### Try it on this machine")[2].partition("### What to expect")[0]
TOML = re.search(r"```toml\n(.*?)```", PART, re.DOTALL)[1]  # type: ignore[index]
SWITCH = re.search(r"--switch (\w+)=(\w+)", PART)
SECRETS = dict(re.findall(r"(\w+)=([\w-]+)", re.search(r"export (QBO.*)", PART)[1]))  # type: ignore[index]

KEY = "dGllb3V0IHRlc3Qga2V5IG9mIDMyIGJ5dGVzISEhISE="


def asked(folder: Path, line: str, stdin: str = "") -> str:
    """What a command says, run in the folder with the page's secrets."""
    done = here(folder, *line.split(), env=SECRETS | {"TIEOUT_SECRET_KEY": KEY}, stdin=stdin)
    assert done.returncode in (0, 4), done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the page's configuration; the stand-ins have free ports instead of those that it names."""
    assert SWITCH
    books = sage_x3.Books("empty", parsed(sage_x3.Switches, [f"{SWITCH[1]}={SWITCH[2]}"]))
    registration = quickbooks.Registration(refresh_token="trial-token")
    with ExitStack() as stack:
        shop = stack.enter_context(quickbooks.running(quickbooks.Books("small"), registration=registration))
        x3 = stack.enter_context(sage_x3.running(books))
        text = TOML.replace("http://127.0.0.1:8765", shop.base_url).replace("http://127.0.0.1:8124", x3.base_url)
        (tmp_path / "tieout.toml").write_text(text)
        yield tmp_path


def test_a_run_says_which_codes_keep_how_many_records_back(folder: Path) -> None:
    file = folder / "tieout.toml"
    file.write_text(file.read_text().replace('"4" = "SERVICE"\n', ""))
    asked(folder, "connect quickbooks --token-stdin", "trial-token\n")
    assert "held back    17 records: '4' has no entry in codes.items\n" in asked(folder, "sync")
    assert "6 records: they wait for another record\n" in asked(folder, "sync")


def test_two_stand_ins_come_into_step_as_the_page_says(folder: Path) -> None:
    asked(folder, "connect quickbooks --token-stdin", "trial-token\n")
    asked(folder, "check")
    [planned] = json.loads(asked(folder, "sync --json"))["runs"]
    asked(folder, f"plan approve {planned['plan']['id']} --by Ada")
    [run] = json.loads(asked(folder, "sync --apply --json"))["runs"]
    assert f"All {run['applied']['done']} records are in X3" in PART
    left = json.loads(asked(folder, "discrepancies list --json"))["discrepancies"]
    assert Counter(d["code"] for d in left) == {"TAX_AMOUNT": 3, "APPLICATION_MISSING": 1}
    assert "four differences are left. Three are `TAX_AMOUNT`" in PART
    assert {b["remainder"] for b in run["bridge"].values()} == {"0.00"}
