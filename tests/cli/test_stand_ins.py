"""`tieout sandbox`: what it prints is enough to connect to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import EXAMPLE, PROGRAM, Ran
from tieout.cli.sections import file_erp
from tieout.sandbox.quickbooks import Switches

Run = Callable[..., Ran]


def pasted(program: subprocess.Popen[str], folder: Path) -> str:
    """What a stand-in shows to be pasted, with its section in the tieout.toml of a folder."""
    assert program.stderr is not None
    section = "".join(iter(program.stderr.readline, "stop it with Ctrl-C\n"))
    table = section.split("# in tieout.toml:\n")[1].split("# then:")[0]
    (folder / "tieout.toml").write_text('[company]\nname = "Example"\n[secrets]\nstore = "file"\n' + table)
    return section


def test_the_file_erp_exports_what_a_connection_reads(tieout: Run, tmp_path: Path) -> None:
    ran = tieout("sandbox", "file-erp", "erp", "--once", "--as-of", "2026-01-31", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["folder"] == "erp"
    assert list((tmp_path / "erp" / "export").glob("customers*"))
    (tmp_path / "tieout.toml").write_text(EXAMPLE + file_erp(Path("erp"), ("customers", "sap-fbl5n-en")))
    assert "erp: connected to Example, USD" in tieout("connect", "erp").stdout
    assert tieout("sandbox", "file-erp", "erp", "--layout", "no-such").returncode == 2


@pytest.mark.parametrize("seed", ["large", "generate:1:2", "generate:1:2:3:4", "generate:1:-2:3"])
@pytest.mark.parametrize("system", ["quickbooks", "sage-x3"])
def test_books_that_there_are_not_are_refused_with_those_that_there_are(tieout: Run, system: str, seed: str) -> None:
    ran = tieout("sandbox", system, "--port", "0", "--seed", seed)
    assert ran.returncode == 2
    assert f"there are no books '{seed}'" in ran.stderr
    assert "generate:CUSTOMERS:INVOICES:SEED" in ran.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_quickbooks_stand_in_says_where_it_is_and_stops_cleanly(
    tieout: Run, tmp_path: Path, ending: signal.Signals
) -> None:
    program = subprocess.Popen(
        [PROGRAM, "sandbox", "quickbooks", "--port", "0", "--seed", "empty"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        told = {}
        for line in program.stdout:
            name, _, value = line.partition(" ")
            told[name] = value.strip()
            if name == "control":
                break
        assert requests.get(told["discovery"], timeout=10).status_code == 200
        section = pasted(program, tmp_path)
        assert f"echo {told['refresh_token']} | tieout connect quickbooks --token-stdin" in section
        ran = tieout(
            "connect",
            "quickbooks",
            "--token-stdin",
            stdin=told["refresh_token"],
            env={"QBO_CLIENT_SECRET": told["client_secret"]},
        )
        assert ran.returncode == 0, ran.stderr
        program.send_signal(ending)
        assert program.wait(20) == 0
    finally:
        program.kill()
        _, errors = program.communicate()
    assert "Traceback" not in errors


def test_the_sage_x3_stand_in_says_where_it_is_and_stops_cleanly(tieout: Run, tmp_path: Path) -> None:
    options = ["--port", "0", "--seed", "empty", "--publish", "YWSSIH=SIH", "--pool", "WSTEST", "--width", "2"]
    program = subprocess.Popen(
        [PROGRAM, "sandbox", "sage-x3", *options],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        told = {}
        for line in program.stdout:
            name, _, value = line.partition(" ")
            told[name] = value.strip()
            if name == "control":
                break
        wsdl = requests.get(told["wsdl"], auth=(told["user"], told["password"]), timeout=10)
        assert f'<soap:address location="{told["endpoint"]}"/>' in wsdl.text
        assert requests.get(told["wsdl"], timeout=10).status_code == 401
        assert (told["pool"], "YWSSIH" in told["services"].split(",")) == ("WSTEST", True)
        assert requests.get(told["control"] + "pools", timeout=10).json()["WSTEST"]["size"] == 2
        pasted(program, tmp_path)
        ran = tieout("connect", "x3", env={"X3_PASSWORD": told["password"]})
        assert ran.returncode == 0, ran.stderr
        assert "x3: connected to HLS, EUR" in ran.stdout
        program.send_signal(signal.SIGINT)
        assert program.wait(20) == 0
    finally:
        program.kill()
        _, errors = program.communicate()
    assert "Traceback" not in errors


def test_the_quickbooks_stand_in_lists_what_nobody_has_verified(tieout: Run) -> None:
    ran = tieout("sandbox", "quickbooks", "--switches", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["auto_apply_credit"] == [True, False], "the default first"
    assert "line_without_item: filled, 6440" in tieout("sandbox", "quickbooks", "--switches").stdout
    # Each setting that is listed is one that it takes.
    words = [f"{name}={setting}" for name, settings in told.items() for setting in settings]
    assert all(Switches.parse([word]) for word in words)


def test_the_sage_x3_stand_in_lists_what_nobody_has_verified(tieout: Run) -> None:
    ran = tieout("sandbox", "sage-x3", "--switches", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["duplicate_reference"] == ["accept", "reject", "warn"]
    assert "duplicate_reference: accept, reject, warn" in tieout("sandbox", "sage-x3", "--switches").stdout


@pytest.mark.parametrize(
    "wrong", [("--seed", "large"), ("--switch", "no_such=1"), ("--publish", "X=NIX"), ("--publish", "TOOLONGANAME=SIH")]
)
def test_a_sage_x3_that_cannot_be_is_a_mistake_to_mend(tieout: Run, wrong: tuple[str, str]) -> None:
    ran = tieout("sandbox", "sage-x3", "--port", "0", *wrong)
    assert ran.returncode == 2
    assert ran.stderr


@pytest.mark.parametrize(
    "wrong", [("--seed", "generate:x"), ("--seed", "large"), ("--switch", "no_such=1"), ("--port", "70000")]
)
def test_a_stand_in_that_cannot_be_is_a_mistake_to_mend(tieout: Run, wrong: tuple[str, str]) -> None:
    ran = tieout("sandbox", "quickbooks", "--port", "0", *wrong)
    assert ran.returncode == 2
    assert ran.stderr


@pytest.mark.parametrize("any_client", [True, False])
def test_the_quickbooks_stand_in_takes_strangers_only_when_told(tmp_path: Path, any_client: bool) -> None:
    options = ["--port", "0", "--seed", "empty", *(["--any-client"] if any_client else [])]
    program = subprocess.Popen(
        [PROGRAM, "sandbox", "quickbooks", *options],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        base = next(line.split()[1] for line in program.stdout if line.startswith("base_url"))
        answer = requests.post(
            f"{base}/oauth2/v1/tokens/bearer",
            data={"grant_type": "refresh_token", "refresh_token": "mine"},
            auth=("my-id", "my-secret"),
            timeout=10,
        )
        assert answer.status_code == (200 if any_client else 401)
        bearer = {"Authorization": f"Bearer {answer.json().get('access_token', 'none')}"}
        company = requests.get(f"{base}/v3/company/42/companyinfo/42", headers=bearer, timeout=10)
        assert company.status_code == (200 if any_client else 401)
    finally:
        program.kill()
        program.communicate()


def test_a_port_that_is_taken_is_named_with_the_way_out(tieout: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ran = tieout("sandbox", "quickbooks", "--port", str(taken))
    assert ran.returncode == 2
    assert f"port {taken} of 127.0.0.1 cannot be used: Address already in use\n" in ran.stderr
    assert "choose another --port; 0 takes a free one" in ran.stderr
