"""Debian packages for a run, unpacked into its folder: nothing is installed, and nobody has to be root."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path


def unpacked(place: Path, *names: str) -> tuple[Path, str]:
    """A folder with the packages and what they need that this machine lacks; and what is absent, "" when nothing is."""
    folder = place / "-".join(names)
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return folder, "apt-get"
    folder.mkdir()
    planned = _run(folder, "apt-get", "-s", "--no-install-recommends", "install", *names)
    wanted = re.findall(r"^Inst (\S+) \(", planned.stdout, re.MULTILINE)  # with [version] after the name: an upgrade
    if planned.returncode:
        return folder, f"the Debian packages {', '.join(names)}: {planned.stderr.strip()[-200:]}"
    if wanted:
        got = _run(folder, "apt-get", "-qq", "download", *wanted)
        if got.returncode:
            return folder, f"the Debian packages {', '.join(wanted)}: {got.stderr.strip()[-200:]}"
    for package in sorted(folder.glob("*.deb")):
        _run(folder, "dpkg", "-x", str(package), str(folder))
    return folder, ""


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer in 240 s")
