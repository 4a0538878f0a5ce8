"""SOAP stacks of five languages, as their registries deliver them, through the same calls to the X3 sandbox.

A driver in each language reads the calls, one a line, and writes what it understood of each answer: status, type and
text of the last message, result. What the answers must be is said once for all of them, here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import requests

from tests.interop.debian import unpacked
from tests.interop.parts import Part
from tieout.sandbox.sage_x3 import Books, Running, running

HERE = Path(__file__).resolve().parent / "sage"
CHECKS = "our calls"
NODE = "soap@1.13.0"
NUM = "INV-26/00001"
CUSTOMER = '<FLD NAME="BCGCOD">DOMC</FLD><FLD NAME="BPCNUM">C1</FLD><FLD NAME="BPCNAM">Ärger &amp; Söhne "Nord"</FLD>'
HEAD = '<FLD NAME="SALFCY">HLS01</FLD><FLD NAME="SIVTYP">INV</FLD><FLD NAME="BPCINV">C1</FLD>'
SOLD = '<LIN><FLD NAME="ITMREF">SERVICE</FLD><FLD NAME="QTY">2</FLD></LIN>'
MORE = '<LIN><FLD NAME="ITMREF">FREE</FLD><FLD NAME="QTY">1</FLD></LIN>'
PAID = '<FLD NAME="AMTCUR">40.5</FLD><FLD NAME="REF">R1</FLD>'
ON = f'<FLD NAME="DENCOD">ALLOC</FLD><FLD NAME="VCRNUM">{NUM}</FLD><FLD NAME="AMTLIN">40.5</FLD>'


def param(*groups: str) -> str:
    return f"<PARAM>{''.join(groups)}</PARAM>"


def group(id: str, fields: str) -> str:
    return f'<GRP ID="{id}">{fields}</GRP>'


def table(id: str, lines: str) -> str:
    return f'<TAB ID="{id}">{lines}</TAB>'


# operation, public name, key, its value, text, more: and what must be in the answer: status, message, parts of the result
CALLS: tuple[tuple[tuple[str, ...], tuple[str, str, tuple[str, ...]]], ...] = (
    (
        ("save", "WSBPC", "", "", param(group("BPC0_1", CUSTOMER)), ""),
        ("1", "", ("C1", "Ärger & Söhne", "EUR")),
    ),
    (
        ("save", "WSSIH", "", "", param(group("SIH0_1", HEAD), table("SIH4_1", SOLD + MORE + MORE)), ""),
        ("1", "", (NUM, "260")),
    ),
    (("deleteLines", "WSSIH", "NUM", NUM, "SIH4_1", "2,3"), ("1", "", (NUM, "240"))),
    (
        ("insertLines", "WSSIH", "NUM", NUM, "SIH4_1", param(table("SIH4_1", MORE))),
        ("1", "", (NUM, "250")),
    ),
    (
        ("modify", "WSSIH", "NUM", NUM, param(group("SIH0_1", '<FLD NAME="INVREF">PO 7</FLD>')), ""),
        ("1", "", ("PO 7",)),
    ),
    (("actionObjectKeys", "WSSIH", "NUM", NUM, "POST", ""), ("1", "", ("Posted",))),
    (
        (
            "save",
            "WSPAY",
            "",
            "",
            param(
                group("PAY1_1", '<FLD NAME="FCY">HLS01</FLD><FLD NAME="BPR">C1</FLD>'),
                group("PAY1_2", PAID),
                table("PAY1_4", f"<LIN>{ON}</LIN>"),
            ),
            "",
        ),
        ("1", "", ("PY126000001", "40.5")),
    ),
    (
        ("run", "ZARDUD", "", "", param(group("GRP1", '<FLD NAME="I_BPR">C1</FLD>')), ""),
        ("1", "", (NUM, "250", "40.5")),
    ),
    (("query", "WSSIH", "BPCINV", "C1", "", "5"), ("1", "", (NUM,))),
    (("read", "WSBPC", "BPCNUM", "C1", "", ""), ("1", "", ("Ärger & Söhne",))),
    (("getDescription", "WSSIH", "", "", "", ""), ("1", "", ("POST",))),
    (("getDataXmlSchema", "WSSIH", "", "", "", ""), ("1", "", ("SIH0_1",))),
    (
        ("actionObject", "WSSIH", "", "", param(group("SIH0_1", f'<FLD NAME="NUM">{NUM}</FLD>')), "POST"),
        ("0", f"3 Invoice {NUM} is posted: no modification possible", ()),
    ),
    (("read", "WSSIH", "NUM", "nix & co", "", ""), ("0", "3 SIH nix & co: no such record", ())),
    (("delete", "WSSIH", "NUM", NUM, "", ""), ("0", f"3 Invoice {NUM} is posted: no modification possible", ())),
)


def parts(place: Path) -> list[Part]:
    """Every stack against fresh books."""
    drivers: tuple[Callable[[Path], tuple[str, list[str], str]], ...] = (zeep, node, php, java, perl)
    found = []
    for driver in drivers:
        folder = place / "sage" / driver.__name__
        folder.mkdir(parents=True)
        client, command, absent = driver(folder)
        found.append(Part(client, CHECKS, absent=absent) if absent else drive(client, command, folder))
    return found


def drive(client: str, command: list[str], folder: Path) -> Part:
    """The calls through a driver; every answer must be understood as it was meant, and the books be whole."""
    books = Books("empty", clock=lambda: datetime(2026, 2, 2, 20, tzinfo=UTC))
    lines = ["\t".join(call) for call, _ in CALLS]
    with ExitStack() as stack:
        live = stack.enter_context(running(books))
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(live, folder),
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        books.check()
    answers = [line.split("\t", 3) for line in done.stdout.splitlines() if line.count("\t") >= 3]
    wrong = [problem for n, answer in enumerate(answers[: len(CALLS)]) if (problem := judged(n, answer))]
    for problem in wrong:
        print(f"{client}: {problem}")
    failed = len(wrong) + max(len(CALLS) - len(answers), 0)
    if len(answers) < len(CALLS):
        print(f"{client}: {len(answers)} of {len(CALLS)} answers:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return Part(client, CHECKS, len(CALLS) - failed, failed)


def judged(n: int, answer: list[str]) -> str:
    """What is wrong with an answer, "" when nothing is."""
    (operation, name, *_), (status, message, within) = CALLS[n]
    got_status, got_type, got_text, result = answer
    told = f"{got_type} {got_text}".strip()
    plain = result.replace("&amp;", "&").replace("\\u00c4", "Ä").replace("\\u00f6", "ö")
    if (got_status, told) != (status, message) or not all(part in plain for part in within):
        return f"{operation} {name}: {got_status} {told!r} {plain[:300]!r} instead of {status} {message!r} {within}"
    return ""


def environment(live: Running, folder: Path) -> dict[str, str]:
    return os.environ | {
        "X3_WSDL": live.wsdl_url,
        "X3_ENDPOINT": live.endpoint,
        "X3_USER": live.user,
        "X3_PASSWORD": live.password,
        "X3_POOL": live.pool,
        "NODE_PATH": str(folder / "node_modules"),
        "PERL5LIB": os.pathsep.join(str(p) for p in sorted(folder.glob("*/usr/share/perl5"))),
        "LD_LIBRARY_PATH": os.pathsep.join(str(p) for p in sorted(folder.glob("*/usr/lib/x86_64-linux-gnu"))),
        "PYTHONPATH": str(HERE.parents[2]),
    }


# ---- the stacks: client, command, what is absent


def zeep(folder: Path) -> tuple[str, list[str], str]:
    del folder
    return f"zeep {version('zeep')}", [sys.executable, str(HERE / "drive_zeep.py")], ""


def node(folder: Path) -> tuple[str, list[str], str]:
    client = f"Node {NODE.replace('@', ' ')}"
    tools = {name: shutil.which(name) for name in ("node", "npm")}
    missing = next((name for name, path in tools.items() if path is None), "")
    if missing:
        return client, [], missing
    (folder / "package.json").write_text('{"name":"interop","private":true}')
    command = [str(tools["npm"]), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", NODE]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return client, [], "the npm registry (no answer in 240 s)"
    return client, [str(tools["node"]), str(HERE / "drive.js")], done.stderr.strip()[-300:] if done.returncode else ""


def php(folder: Path) -> tuple[str, list[str], str]:
    own = shutil.which("php")
    if own and "soap" in subprocess.run([own, "-m"], capture_output=True, text=True, check=False).stdout.split():
        return "PHP SoapClient", [own, str(HERE / "drive.php")], ""
    root, absent = unpacked(folder, "php8.2-cli", "php8.2-soap")
    modules = sorted(root.glob("usr/lib/php/*/soap.so"))
    absent = absent or ("" if modules else "php-soap")
    if absent:
        return "PHP SoapClient", [], absent
    options = ["-n", "-d", f"extension_dir={modules[0].parent}", "-d", "extension=soap"]
    return "PHP 8.2 SoapClient", [str(root / "usr/bin/php8.2"), *options, str(HERE / "drive.php")], ""


def java(folder: Path) -> tuple[str, list[str], str]:
    """Axis 1.4: classes are made from the WSDL, then compiled with the driver."""
    client = "Java Axis 1.4"
    tools = {name: shutil.which(name) for name in ("java", "javac")}
    missing = next((name for name, path in tools.items() if path is None), "")
    root, absent = unpacked(folder, "libaxis-java") if not missing else (folder, missing)
    if absent:
        return client, [], absent
    jars = [str(p) for p in sorted(root.glob("usr/share/java/*.jar"))]
    path = os.pathsep.join([*jars, str(folder / "classes")])
    with running(Books("empty")) as live:
        source = folder / "service.wsdl"
        source.write_text(requests.get(live.wsdl_url, auth=(live.user, live.password), timeout=10).text)
    (folder / "classes").mkdir()
    steps = (
        [str(tools["java"]), "-cp", path, "org.apache.axis.wsdl.WSDL2Java", "-o", str(folder / "made"), str(source)],
        [str(tools["javac"]), "-nowarn", "-encoding", "UTF-8", "-cp", path, "-d", str(folder / "classes")],
    )
    for n, step in enumerate(steps):
        files = [str(p) for p in (*sorted((folder / "made").rglob("*.java")), HERE / "Drive.java")] if n else []
        done = subprocess.run([*step, *files], cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            print(f"{client}: {done.stdout[-1500:]}\n{done.stderr[-1500:]}")
            return client, [sys.executable, "-c", "raise SystemExit('the classes could not be made')"], ""
    return client, [str(tools["java"]), "-cp", path, "Drive"], ""


def perl(folder: Path) -> tuple[str, list[str], str]:
    own = shutil.which("perl")
    root, absent = unpacked(folder, "libsoap-lite-perl") if own else (folder, "perl")
    if absent:
        return "Perl SOAP::Lite", [], absent
    arch = [str(p) for p in sorted(root.glob("usr/lib/*/perl5/*"))]
    options = [option for p in arch for option in ("-I", p)]
    return "Perl SOAP::Lite 1.27", [str(own), *options, str(HERE / "drive.pl")], ""
