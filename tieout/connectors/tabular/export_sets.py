"""Which of the files that an ERP dropped belong together, are finished, and speak for the newest day.

A set is one export of everything a connection reads: all its files speak for one as-of date. A file is finished if a
manifest lists it and its hash agrees, if a `.done` file stands beside it, or if nothing touched it for a while.
Manifests are JSON, `*.manifest.json`: `{as_of, sequence?, company_code?, files: [{name, rows?, totals?, sha256?}]}`,
totals by currency as decimal text. Without one, a date in the file name (`2026-01-31` or `20260131`) is the as-of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from tieout.errors import ConfigError, RetriableError

_DATE = re.compile(r"(?<!\d)(\d{4})(-?)(\d{2})\2(\d{2})(?!\d)")
_LONGEST_NAME = 255  # bytes
Key = tuple[date, int, str]
_UNDATED: Key = (date.min, 0, "")


@dataclass(frozen=True, slots=True)
class Stand:
    """Which file a path is, how long it is, and when it was written last: other content has another one."""

    file: int
    size: int
    written: int

    @classmethod
    def of(cls, path: Path) -> Stand:
        now = path.stat()
        return cls(now.st_ino, now.st_size, now.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of a set. export: position in the connection's `exports` · rows, totals: as the manifest states them

    stand: what the file system told of it before anything of it was read
    """

    path: Path
    export: int
    sha256: str
    stand: Stand
    manifest: str | None = None
    rows: int | None = None
    totals: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class ExportSet:
    """One finished export. as_of: None if no file says · passed_over: newer files that could not be used, and why"""

    as_of: date | None
    sequence: int
    files: tuple[ExportFile, ...]
    company: Mapping[str, str]
    passed_over: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.as_of or 'undated'}/{self.sequence}"


@dataclass(frozen=True, slots=True)
class _Manifest:
    name: str
    key: Key
    entries: Mapping[str, Mapping[str, Any]]
    company: Mapping[str, str]


@dataclass(slots=True)
class _Found:
    path: Path
    export: int
    key: Key
    manifest: _Manifest | None
    stand: Stand
    why_not: str = ""
    entry: Mapping[str, Any] = field(default_factory=dict)


def newest(folder: Path, globs: Sequence[str], *, now: datetime, settle_seconds: int) -> ExportSet:
    """The newest finished set of files for the globs, in their order.

    Raises RetriableError while there is none (nothing dropped yet, half-written, dates disagree) and ConfigError
    where the folder is missing or several undated files fit one glob.
    """
    if not folder.is_dir():
        raise ConfigError(f"the export folder {folder} does not exist", hint="check `folder` of the connection")
    if not os.access(folder, os.R_OK | os.X_OK):  # a glob would pass it over as empty
        raise ConfigError(f"the export folder {folder} cannot be read", hint="give this user read access")
    manifests, unread = _manifests(folder)
    found = [f for at, glob in enumerate(globs) for f in _matching(folder, at, glob, manifests)]
    _refuse_undated_crowds(found, globs)
    keys = sorted({f.key for f in found if f.key != _UNDATED}, reverse=True) or [_UNDATED]
    passed: list[str] = [*unread]
    for key in keys:
        chosen = [f for f in found if f.key == key]
        have = {f.export for f in chosen}
        chosen += [f for f in found if f.key == _UNDATED and f.export not in have and key != _UNDATED]
        problem = _incomplete(chosen, globs, folder) or _unsettled(chosen, now, settle_seconds)
        if problem is None:
            return _as_set(key, chosen, tuple(passed))
        passed.append(f"{key[0]}: {problem}" if key != _UNDATED else problem)
    raise RetriableError(
        f"no finished export in {folder}: {passed[0] if not unread else '; '.join(passed)}",
        hint="run the ERP's export again, or wait until it is written",
    )


def _manifests(folder: Path) -> tuple[dict[str, list[_Manifest]], list[str]]:
    """Manifests by the name of each file they list; and what is wrong with those that cannot be read."""
    by_file: dict[str, list[_Manifest]] = {}
    unread: list[str] = []
    for path in sorted(folder.glob("*.manifest.json")):
        try:
            data = json.loads(path.read_text("utf-8"), parse_float=Decimal)
            as_of = date.fromisoformat(data["as_of"])
            key = (as_of, int(data.get("sequence", 0)), str(data.get("exported_at", "")))
            company = {k: str(data[k]) for k in ("company_code", "company") if data.get(k)}
            entries = {str(e["name"]): _entry(e) for e in data["files"]}
            manifest = _Manifest(path.name, key, entries, company)
        except (ValueError, KeyError, TypeError, OSError, ArithmeticError, RecursionError) as error:
            unread.append(f"{path.name} is not a readable manifest ({type(error).__name__}: {error!s:.200})")
            continue
        for name in entries:
            by_file.setdefault(name, []).append(manifest)
    return by_file, unread


def _entry(told: Any) -> Mapping[str, Any]:
    """What a manifest says of one file. Raises ValueError for a name that is none, or what cannot count rows."""
    name, rows = str(told["name"]), told.get("rows")
    if name != Path(name).name or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"{name[:40]!r} is not the name of a file beside it")
    if rows is not None and (isinstance(rows, bool) or not re.fullmatch(r"[0-9]{1,15}", str(rows))):
        raise ValueError("rows is not a number of rows")
    found: Mapping[str, Any] = told
    return found


def _matching(folder: Path, at: int, glob: str, manifests: Mapping[str, list[_Manifest]]) -> list[_Found]:
    paths = [p for p in sorted(folder.glob(glob)) if not p.name.endswith((".manifest.json", ".done"))]
    found = []
    for path in paths:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            stand = Stand.of(path)
        except FileNotFoundError:  # moved away since the folder was listed
            continue
        listed = max(manifests.get(path.name, ()), key=lambda m: m.key, default=None)
        if listed is not None:
            found.append(_Found(path, at, listed.key, listed, stand, entry=listed.entries[path.name]))
        else:
            on = _date_in(path.name)
            found.append(_Found(path, at, (on, 0, "") if on else _UNDATED, None, stand))
    return found


def _date_in(name: str) -> date | None:
    days = set()
    for year, _, month, day in _DATE.findall(name):
        try:
            days.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return days.pop() if len(days) == 1 else None


def _refuse_undated_crowds(found: Sequence[_Found], globs: Sequence[str]) -> None:
    for at, glob in enumerate(globs):
        undated = [f.path.name for f in found if f.export == at and f.key == _UNDATED]
        dated = any(f.export == at and f.key != _UNDATED for f in found)
        if len(undated) > 1 or (undated and dated):
            raise ConfigError(
                f"{glob!r} fits {', '.join(undated)}, and nothing says which is the newest",
                hint="put the as-of date into the file names, write a manifest, or narrow the glob",
            )


def _incomplete(chosen: Sequence[_Found], globs: Sequence[str], folder: Path) -> str | None:
    missing = [glob for at, glob in enumerate(globs) if not any(f.export == at for f in chosen)]
    if missing:
        return f"no file fits {', '.join(map(repr, missing))} for that day"
    for manifest in {f.manifest.name: f.manifest for f in chosen if f.manifest}.values():
        absent = [name for name in manifest.entries if not (folder / name).is_file()]
        if absent:
            return f"{manifest.name} lists {', '.join(absent)}, which is not there"
    return None


def _unsettled(chosen: Sequence[_Found], now: datetime, settle_seconds: int) -> str | None:
    for f in chosen:
        if f.manifest and f.entry.get("sha256"):
            if _digest(f.path) != f.entry["sha256"]:
                return f"{f.path.name} is not the file that {f.manifest.name} describes: half-written or changed"
        elif not (f.path.with_name(f.path.name + ".done").exists() or f.path.with_suffix(".done").exists()):
            age = now.timestamp() - f.stand.written / 10**9
            if age < settle_seconds:
                ahead = f"bears a time {int(-age):,} s ahead of this machine's clock"
                written = f"was written {int(age)} s ago" if age >= 0 else ahead
                return f"{f.path.name} {written}; it is read after {settle_seconds} s of rest"
    return None


def _as_set(key: Key, chosen: Sequence[_Found], passed: tuple[str, ...]) -> ExportSet:
    files = []
    company: dict[str, str] = {}
    for f in sorted(chosen, key=lambda f: (f.export, f.path.name)):
        company |= f.manifest.company if f.manifest else {}
        rows = f.entry.get("rows")
        files.append(
            ExportFile(
                f.path,
                f.export,
                _digest(f.path),
                f.stand,
                f.manifest.name if f.manifest else None,
                int(rows) if rows is not None else None,
                _decimals(f.entry.get("totals"), f.manifest.name) if f.manifest else None,
            )
        )
    return ExportSet(None if key == _UNDATED else key[0], key[1], tuple(files), company, passed)


def still(chosen: ExportSet) -> None:
    """Raises RetriableError if a file is not what it was when it was chosen: what was read of it may be of both."""
    for file in chosen.files:
        try:
            same = Stand.of(file.path) == file.stand
        except FileNotFoundError:
            same = False
        if not same:
            raise RetriableError(f"{file.path.name} changed while it was read", hint="run again")


def _decimals(totals: Any, manifest: str) -> dict[str, Decimal] | None:
    if totals is None:
        return None
    try:
        found = {str(currency): Decimal(str(value)) for currency, value in totals.items()}
    except (InvalidOperation, AttributeError):
        found = {"": Decimal("NaN")}
    if not all(total.is_finite() for total in found.values()):
        raise RetriableError(f"{manifest}: totals are not decimal text by currency", hint="write the manifest again")
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
