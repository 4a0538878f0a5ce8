"""python-quickbooks as installed here, with the integration tests of its own repository, unmodified."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from tests.interop.parts import Part
from tieout.sandbox.quickbooks import Books, Registration, running

HERE = Path(__file__).resolve().parent
SOURCE = "0.9.3"  # the newest package that carries tests/integration
CLIENT = f"python-quickbooks {version('python-quickbooks')}"


def own_suite(place: Path, checkout: Path | None) -> Part:
    """The suite against fresh books that take any client; it signs in anew before each test."""
    checks = f"its own tests/integration ({'the checkout' if checkout else SOURCE})"
    source = checkout or fetch(place)
    if source is None:
        return Part(CLIENT, checks, absent=f"the source package {SOURCE} from PyPI")
    folder = place / "suite"  # only the tests: the client is the installed one
    shutil.copytree(source / "tests", folder / "tests")
    if datetime.now().second > 45:  # older tests look names up by the minute they were made in
        time.sleep(16)
    results = place / "results.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sandbox_plugin", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(folder), f"--junitxml={results}", "tests/integration"]
    with running(Books("small"), registration=Registration(any_client=True)) as site:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(site.base_url, folder),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        site.books.check()
    if not results.exists():
        print(f"{CLIENT}: its own tests did not run:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return Part(CLIENT, checks, failed=1)
    counts = ET.parse(results).getroot()[0].attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    if failed:
        print(f"{CLIENT}: {done.stdout[-4000:]}")
    return Part(CLIENT, checks, int(counts["tests"]) - failed - int(counts["skipped"]), failed)


def environment(base_url: str, folder: Path) -> dict[str, str]:
    return os.environ | {
        "QBO_EMULATOR_URL": base_url,
        "CLIENT_ID": "a",
        "CLIENT_SECRET": "b",
        "COMPANY_ID": "123",
        "REFRESH_TOKEN": "rt",
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
        "PYTHONPATH": os.pathsep.join((str(HERE / "plugin"), str(folder))),
    }


def fetch(place: Path) -> Path | None:
    """The unpacked source package, None when PyPI does not give it."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(place)]
    try:
        done = subprocess.run([*command, f"python-quickbooks=={SOURCE}"], capture_output=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return None
    found = next(place.glob("python*quickbooks*.tar.gz"), None)
    if done.returncode or found is None:
        return None
    with tarfile.open(found) as packed:
        packed.extractall(place, filter="data")
    return next(place.glob("python*quickbooks*/tests")).parent
