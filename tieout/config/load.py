"""tieout.toml -> `Settings`, or one `ConfigError` with every problem, its line and the nearest right word."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast, get_args

from tieout.config import lines
from tieout.config.reading import Reader
from tieout.config.settings import (
    CODES,
    ENTITIES,
    KINDS,
    OWNERS,
    TWO_WAY,
    UNATTENDED,
    CheckSettings,
    CompanySettings,
    ConnectionSettings,
    EvidenceSettings,
    ExportSettings,
    Flow,
    LimitSettings,
    PairSettings,
    PairTable,
    ReportSettings,
    RoundingSettings,
    SageX3Settings,
    SecretRef,
    SecretsSettings,
    Settings,
    StateSettings,
    Table,
    nearest,
    plain_http,
    policy_fields,
    sqlite_from,
    suggestion,
)
from tieout.errors import ConfigError
from tieout.mapping import toml
from tieout.mapping.tabular import list_profiles
from tieout.mapping.writing import list_import_profiles
from tieout.model import Entity, type_of
from tieout.plaintext import counted

DEFAULT = "tieout.toml"
_TOLD = 100  # problems of one file
_TABLES = ("company", "state", "secrets", "evidence", "connection", "pair")
_PAIR_TABLES = ("policy", "codes", "limits", "flows", "rounding", "checks", "report")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def config_path(path: Path | str | None = None) -> Path:
    """The file to read: the given one, else TIEOUT_CONFIG, else tieout.toml here."""
    return Path(path or os.environ.get("TIEOUT_CONFIG") or DEFAULT)


def load(path: Path | str | None = None) -> Settings:
    """The settings of a file (`config_path`). Raises one ConfigError that lists every problem found."""
    file = config_path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {file}", hint="`tieout init` writes one; --config or TIEOUT_CONFIG names another"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", hint="check its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from None
    return loads(text, file)


def loads(text: str, file: Path) -> Settings:
    """The settings of a TOML text that stands in `file`; relative paths are taken from the file's folder."""
    try:
        raw = toml.loads(text)
    except tomllib.TOMLDecodeError:
        raise _listed(file, f"{file} is not valid TOML", lines.mistakes(text)) from None
    reader = Reader(file, text)
    settings = _settings(reader, raw)
    if reader.problems or settings is None:
        raise _listed(file, f"{file} has {counted(len(reader.problems), 'problem')}", reader.problems)
    return settings


def _listed(file: Path, says: str, found: list[tuple[int | None, str]]) -> ConfigError:
    """One error with every problem, in the order of its lines; of very many the first ones, and how many more."""
    ordered = sorted(found, key=lambda p: p[0] or 0)
    shown = [f"{file.name}{f':{line}' if line else ''}: {message}" for line, message in ordered[:_TOLD]]
    if len(ordered) > _TOLD:
        shown.append(f"and {len(ordered) - _TOLD:,} more")
    return ConfigError(says, problems=tuple(shown), hint="mend them, then `tieout check`")


def _settings(r: Reader, raw: Mapping[str, Any]) -> Settings | None:
    for key in raw:
        if key not in _TABLES:
            r.problem((), key, "is not a known table" + suggestion(key, _TABLES))
    company = _company(r, raw)
    state = r.table(StateSettings, raw.get("state", {}), ("state",))
    secrets = r.table(SecretsSettings, raw.get("secrets", {}), ("secrets",))
    evidence = r.table(EvidenceSettings, raw.get("evidence", {}), ("evidence",))
    named = _named(r, raw, "connection")
    connections = {n: _connection(r, n, t) for n, t in named.items()}
    pairs = {n: _pair(r, n, t, list(connections)) for n, t in _named(r, raw, "pair").items()}
    good = {n: c for n, c in connections.items() if c}
    sound = {n: p for n, p in pairs.items() if p}
    _collisions(r, good, sound)
    if r.problems or not (company and state and secrets and evidence):
        return None
    return Settings(
        path=r.file,
        company=company,
        state=_state(r, state),
        secrets=secrets.model_copy(
            update={
                "folder": r.base / secrets.folder.expanduser(),
                "key_file": r.base / secrets.key_file.expanduser() if secrets.key_file else None,
            }
        ),
        evidence=evidence.model_copy(update={"anchors": tuple(r.base / p.expanduser() for p in evidence.anchors)}),
        connections=good,
        pairs=sound,
    )


def _company(r: Reader, raw: Mapping[str, Any]) -> CompanySettings | None:
    if "company" not in raw:
        r.problem((), "[company] name", "is missing")
        return None
    return r.table(CompanySettings, raw["company"], ("company",))


def _state(r: Reader, state: StateSettings) -> StateSettings:
    if isinstance(state.url, SecretRef) or not state.url.startswith("sqlite:///"):
        return state
    return StateSettings(url=sqlite_from(r.base, state.url))


def _named(r: Reader, raw: Mapping[str, Any], what: str) -> dict[str, Any]:
    tables = raw.get(what, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        r.problem((), what, f"should be tables with a name each: [{what}.NAME]")
        return {}
    for name in tables:
        if not _NAME.fullmatch(name):
            r.problem((what, name), "", "a name has up to 40 lower-case letters, digits, - and _")
    return tables


def _connection(r: Reader, name: str, raw: Mapping[str, Any]) -> ConnectionSettings | None:
    path = ("connection", name)
    kind = raw.get("kind")
    # To look for those of other packages takes longer than all the rest, so only a kind that is not ours asks for them.
    known = list(KINDS)
    if kind not in known:
        known += [p.name for p in entry_points(group="tieout.connectors")]
    if not isinstance(kind, str) or kind not in known:
        says = "is missing" if kind is None else f"{kind!r} is not one of {', '.join(known)}"
        r.problem(path, "kind", says + suggestion(str(kind), known))
        if meant := nearest(str(kind), known):  # what else is wrong is said now, not when this is mended
            _connection(r, name, {**raw, "kind": meant})
        return None
    options = {k: v for k, v in raw.items() if k != "kind"}
    if kind == "tabular":
        return _tabular(r, name, options, path)
    model = KINDS.get(kind)
    if model is None:
        clean, good = r.references(options, path)
        return ConnectionSettings(name=name, kind=kind, options=clean) if good else None
    read = r.table(model, options, path, also=("kind",))
    if isinstance(read, SageX3Settings):
        if not read.on_premises and plain_http(read.url):
            says = "should be an https:// address (http:// on this machine, or with on_premises = true, only)"
            r.problem(path, "url", says)
        if read.ca_file:
            read = read.model_copy(update={"ca_file": r.base / read.ca_file.expanduser()})
    return ConnectionSettings(name=name, kind=kind, options=_plain(read)) if read else None


def _tabular(r: Reader, name: str, options: dict[str, Any], path: lines.Path) -> ConnectionSettings | None:
    before = len(r.problems)
    exports = options.get("exports", [])
    if not isinstance(exports, list) or not exports:
        says = "is empty" if exports == [] else "should be a list of tables"
        r.problem(path, "exports", f'{says}: name the files, such as [{{ glob = "*.csv", profile = "…" }}]')
        exports = []
    read = [r.table(ExportSettings, one, (*path, "exports", str(i))) for i, one in enumerate(exports)]
    for i, export in enumerate(read):
        if export and export.entity and export.entity not in ENTITIES:
            r.word((*path, "exports", str(i)), "entity", export.entity, ENTITIES)
        if export:
            _known_profile(r, export.profile, list_profiles(), (*path, "exports", str(i)), "profile")
    imports = options.get("imports", {})
    for entity in imports if isinstance(imports, dict) else ():
        if entity not in ENTITIES:
            r.problem((*path, "imports"), entity, f"is not one of {', '.join(ENTITIES)}" + suggestion(entity, ENTITIES))
            continue
        given = imports[entity]
        for profile in given if isinstance(given, list) else [given]:
            if isinstance(profile, str):
                _known_profile(r, profile, list_import_profiles(), (*path, "imports"), entity)
    if isinstance(imports, dict) and imports and not options.get("outbox"):
        r.problem(path, "outbox", "is missing: imports need a folder to write to")
    rest = options | {"exports": [e for e in read if e] or [ExportSettings(glob="*", profile="x")]}
    table = r.table(KINDS["tabular"], rest, path, also=("kind",))
    if table is None or len(r.problems) > before:
        return None
    plain = _plain(table)
    for key in ("folder", "outbox"):
        if key in plain:
            plain[key] = r.base / plain[key].expanduser()
    plain["exports"] = tuple(e | {"profile": _profile(r, e["profile"])} for e in plain["exports"])
    plain["imports"] = {
        entity: tuple(_profile(r, p) for p in ([given] if isinstance(given, str) else given))
        for entity, given in plain.get("imports", {}).items()
    }
    return ConnectionSettings(name=name, kind="tabular", options=plain)


def _profile(r: Reader, name: str) -> str:
    """A shipped name as it is; a path from the folder of tieout.toml."""
    return str(r.base / Path(name).expanduser()) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith(".toml")


def _known_profile(r: Reader, name: str, known: list[str], path: lines.Path, key: str) -> None:
    """A problem where no profile of that name ships and no file lies at that path."""
    found = _profile(r, name)
    if not _is_path(name):
        if name not in known:
            r.word(path, key, name, (*known, "the path of a .toml file"))
    elif not Path(found).is_file():
        r.problem(path, key, f"there is no file {found}")


def _pair(r: Reader, name: str, raw: Mapping[str, Any], connections: list[str]) -> PairSettings | None:
    path = ("pair", name)
    before = len(r.problems)
    table = r.table(PairTable, {k: v for k, v in raw.items() if k not in _PAIR_TABLES}, path, also=_PAIR_TABLES)
    for side in ("left", "right"):
        said = raw.get(side)
        if isinstance(said, str) and said and said not in connections:
            r.problem(path, side, f"there is no [connection.{said}]" + suggestion(said, connections))
    if raw.get("left") is not None and raw.get("left") == raw.get("right"):
        r.problem(path, "right", "is the same connection as left")
    for word in table.unattended if table else ():
        if word not in UNATTENDED:
            r.word(path, "unattended", word, UNATTENDED)
    flows = _flows(r, raw.get("flows", {}), (*path, "flows"))
    policy = _policy(r, raw.get("policy", {}), (*path, "policy"))
    codes = _codes(r, raw.get("codes", {}), (*path, "codes"))
    limits = r.table(LimitSettings, raw.get("limits", {}), (*path, "limits"))
    report = r.table(ReportSettings, raw.get("report", {}), (*path, "report"))
    rounding = r.table(RoundingSettings, raw["rounding"], (*path, "rounding")) if "rounding" in raw else None
    checks = r.table(CheckSettings, raw.get("checks", {}), (*path, "checks"))
    if not (table and limits and report and checks) or len(r.problems) > before:
        return None
    return PairSettings(
        **{field: getattr(table, field) for field in PairTable.model_fields},
        name=name,
        flows=flows,
        policy=policy,
        codes=codes,
        limits=limits,
        rounding=rounding,
        checks=checks,
        as_of=report.as_of,
    )


def _flows(r: Reader, raw: Any, path: lines.Path) -> dict[str, Flow]:
    """Per entity the way it flows; `both` where nothing is said. An adjustment is not written, whatever is said."""
    if not isinstance(raw, dict):
        r.problem(path[:-1], "flows", "should be a table")
        return {}
    for entity, flow in raw.items():
        if entity not in ENTITIES:
            r.problem(path, entity, f"is not one of {', '.join(ENTITIES)}" + suggestion(entity, ENTITIES))
        elif flow not in get_args(Flow):
            r.word(path, entity, flow, get_args(Flow))
    return cast("dict[str, Flow]", dict.fromkeys(ENTITIES, "both") | raw)


def _policy(r: Reader, raw: Any, path: lines.Path) -> dict[tuple[str, str], str]:
    """(entity, field) -> owner, from `invoice.memo = …` or `"invoice.memo" = …`."""
    policy: dict[tuple[str, str], str] = {}
    for key, owner in _flat(raw, depth=2):
        entity, _, name = key.partition(".")
        if entity not in ENTITIES or not name:
            r.problem(path, key, "should be entity.field, such as invoice.memo" + suggestion(entity, ENTITIES))
        elif name not in policy_fields(entity):
            known = policy_fields(entity)
            says = "is not compared, so it has no owner" if _stated(entity, name) else "is not a field of it"
            r.problem(path, key, says + suggestion(name, known))
        elif owner not in OWNERS:
            r.word(path, key, owner, OWNERS)
        elif owner == "two_way" and name not in TWO_WAY[entity]:
            free = ", ".join(sorted(TWO_WAY[entity]))
            r.problem(
                path,
                key,
                f"two_way is never possible for money, dates, customer or tax; only for {free or 'no field of it'}",
            )
        else:
            policy[entity, name] = owner
    return policy


def _codes(r: Reader, raw: Any, path: lines.Path) -> dict[str, Mapping[str, str] | None]:
    """Per kind of code: left value -> right value, both text; None where both books use the same codes."""
    if raw == "same":
        return dict.fromkeys(CODES)
    if not isinstance(raw, dict):
        r.problem(path[:-1], "codes", 'should be a table, or "same"')
        return {}
    found: dict[str, Mapping[str, str] | None] = {}
    for kind, table in raw.items():
        if kind not in CODES:
            r.problem(path, kind, f"is not one of {', '.join(CODES)}" + suggestion(kind, CODES))
        elif table == "same":
            found[kind] = None
        elif not isinstance(table, dict):
            r.problem(path, kind, 'should be a table of "left code" = "right code", or "same"')
        else:
            for left, right in table.items():
                if not isinstance(right, str):
                    r.problem((*path, kind), left, "should be text in quotes: codes may begin with zeros")
            found[kind] = dict(table)
    return found


def _collisions(r: Reader, connections: Mapping[str, ConnectionSettings], pairs: Mapping[str, PairSettings]) -> None:
    """The same books under two names would be synced with themselves."""
    seen: dict[tuple[str, ...], str] = {}
    for name, connection in connections.items():
        o = connection.options
        if connection.kind == "quickbooks":
            _once(
                r, seen, ("company_id", o["company_id"], o["environment"], str(o.get("api_base"))), "connection", name
            )
        elif connection.kind == "sage-x3":
            _once(r, seen, ("url", o["url"], o["pool"], o["company"]), "connection", name)
        elif connection.kind == "tabular" and "outbox" in o:
            _once(r, seen, ("outbox", str(o["outbox"])), "connection", name)
            if o["outbox"] == o["folder"]:
                r.problem(("connection", name), "outbox", "is the same folder as `folder`")
    for name, pair in pairs.items():
        _once(r, seen, ("left", *sorted((pair.left, pair.right))), "pair", name)
        if pair.was in pairs and pair.was != name:
            r.problem(
                ("pair", name),
                "was",
                f"[pair.{pair.was}] is still there; only a name that is given up can be taken over",
            )


def _once(r: Reader, seen: dict[tuple[str, ...], str], what: tuple[str, ...], table: str, name: str) -> None:
    if what in seen:
        says = "has the same two connections as" if table == "pair" else "is the same as that of"
        r.problem((table, name), what[0], f"{says} [{table}.{seen[what]}]")
    seen.setdefault(what, name)


def _plain(table: Table) -> dict[str, Any]:
    """The values that were set or have a default, without the unset ones; references stay references."""
    plain: dict[str, Any] = {}
    for name, value in table:
        if isinstance(value, SecretRef):
            plain[name] = value
        elif isinstance(value, tuple):
            plain[name] = tuple(_plain(v) if isinstance(v, Table) else v for v in value)
        elif isinstance(value, dict):
            plain[name] = {k: _plain(v) if isinstance(v, Table) else v for k, v in value.items()}
        elif value is not None:
            plain[name] = value
    return plain


def _flat(raw: Any, *, depth: int, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(raw, dict) or not depth:
        return [(prefix, raw)]
    return [pair for k, v in raw.items() for pair in _flat(v, depth=depth - 1, prefix=f"{prefix}.{k}".lstrip("."))]


def _stated(entity: str, name: str) -> bool:
    return name in type_of[Entity(entity)].model_fields
