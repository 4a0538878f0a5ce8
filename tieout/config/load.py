"""tieout.toml -> `Settings`, or one `ConfigError` with every problem, its line and the nearest right word."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import ValidationError

from tieout.config import lines
from tieout.config.settings import (
    CODES,
    ENTITIES,
    KINDS,
    OWNERS,
    TWO_WAY,
    UNATTENDED,
    CompanySettings,
    ConnectionSettings,
    ExportSettings,
    Flow,
    LimitSettings,
    PairSettings,
    PairTable,
    ReportSettings,
    RoundingSettings,
    SecretRef,
    SecretsSettings,
    Settings,
    StateSettings,
    Table,
    policy_fields,
    suggestion,
)
from tieout.errors import ConfigError
from tieout.model import Entity, type_of

T = TypeVar("T", bound=Table)
DEFAULT = "tieout.toml"
_TABLES = ("company", "state", "secrets", "connection", "pair")
_PAIR_TABLES = ("policy", "codes", "limits", "flows", "rounding", "report")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SECRET = re.compile(r"(secret|password|passwd|passphrase|token|api_?key|private_key|credential)s?$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"^[a-z0-9+]+://[^/@]*:[^/@]+@", re.IGNORECASE)
_ANY_REFERENCE = SecretRef(env="UNSET")
_MESSAGES = {
    "string_type": "should be text in quotes",
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "date_type": "should be a date such as 2026-01-31, without quotes",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "tuple_type": "should be a list",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "missing": "is missing",
}


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
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file.name} is not valid TOML: {error}", hint="text values stand in double quotes"
        ) from None
    reader = _Reader(file, text)
    settings = reader.settings(raw)
    if reader.problems or settings is None:
        found = sorted(reader.problems, key=lambda p: p[0] or 0)
        shown = tuple(f"{file.name}{f':{line}' if line else ''}: {message}" for line, message in found)
        count = "1 problem" if len(shown) == 1 else f"{len(shown)} problems"
        raise ConfigError(f"{file} has {count}", problems=shown, hint="mend them, then `tieout check`")
    return settings


def _dotted(path: lines.Path) -> str:
    return "[" + ".".join(p if re.fullmatch(r"[\w-]+", p) else f'"{p}"' for p in path) + "]"


class _Reader:
    """Collects problems while it turns tables into models; a table with a problem yields None."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.base = file.resolve().parent
        self.lines = lines.locate(text)
        self.problems: list[tuple[int | None, str]] = []

    def problem(self, table: lines.Path, key: str, message: str) -> None:
        whole, dotted = (*table, key), (*table, *key.split("."))
        line = lines.line_of(self.lines, whole if whole in self.lines else dotted)
        where = f"{_dotted(table)} {key}".strip() if table else key
        self.problems.append((line, f"{where}: {message}"))

    def table(self, model: type[T], raw: Any, path: lines.Path, *, also: tuple[str, ...] = ()) -> T | None:
        """The model of one table; `also` are keys that are read elsewhere and only help the suggestions."""
        if not isinstance(raw, dict):
            self.problem(path[:-1], path[-1], "should be a table")
            return None
        clean, good = self._references(raw, path)
        try:
            read = model.model_validate(clean)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=True):
                self._explain(model, one, path, also)
            return None
        return read if good else None

    def _references(self, raw: Mapping[str, Any], path: lines.Path) -> tuple[dict[str, Any], bool]:
        """The table with secret references made, and whether none of them is wrong or stands there in plain text."""
        clean = dict(raw)
        before = len(self.problems)
        for key, value in raw.items():
            if isinstance(value, dict) and value and set(value) <= {"env", "command", "keyring"}:
                clean[key] = self.reference(value, path, key)
            elif _SECRET.search(key) and not isinstance(value, dict):
                clean[key] = _ANY_REFERENCE
                self.problem(
                    path,
                    key,
                    'a secret may not stand here; name where it is: { env = "NAME" }, '
                    '{ command = ["…"] } or { keyring = "service/name" }',
                )
            elif isinstance(value, str) and _URL_PASSWORD.match(value):
                clean[key] = _ANY_REFERENCE
                self.problem(path, key, 'holds a password; give the whole address by reference: { env = "NAME" }')
        return clean, len(self.problems) == before

    def reference(self, raw: Mapping[str, Any], path: lines.Path, key: str) -> SecretRef:
        """The reference; any other one, beside a problem, where it is wrong."""
        try:
            if len(raw) == 1:
                return SecretRef.model_validate(raw)
            self.problem(path, key, "should name one of env, command and keyring")
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self.problem(path, f"{key}.{one['loc'][0]}", _MESSAGES.get(one["type"], "should be text in quotes"))
        return _ANY_REFERENCE

    def _explain(self, model: type[Table], error: Any, path: lines.Path, also: tuple[str, ...]) -> None:
        where = [str(part) for part in error["loc"] if not _is_union_tag(part)]
        key = ".".join(where)
        kind, value = error["type"], error["input"]
        if kind == "extra_forbidden":
            message = "is not a known key" + suggestion(where[-1], [*_keys(model, where[:-1]), *also])
        elif kind == "literal_error":
            known = [k.strip(" '") for k in re.split(r", | or ", error["ctx"]["expected"])]
            message = f"{value!r} is not one of {', '.join(known)}" + suggestion(str(value), known)
        elif kind == "value_error":
            message = str(error["ctx"]["error"])
        elif kind == "string_pattern_mismatch":
            message = f"{value!r} does not look like {key.replace('_', ' ')} (pattern {error['ctx']['pattern']})"
        else:
            message = _MESSAGES.get(kind) or error["msg"].replace("Input should be", "should be")
        self.problem(path, key, message)

    def settings(self, raw: Mapping[str, Any]) -> Settings | None:
        for key in raw:
            if key not in _TABLES:
                self.problem((), key, "is not a known table" + suggestion(key, _TABLES))
        company = self._company(raw)
        state = self.table(StateSettings, raw.get("state", {}), ("state",))
        secrets = self.table(SecretsSettings, raw.get("secrets", {}), ("secrets",))
        named = self._named(raw, "connection")
        connections = {n: self._connection(n, t) for n, t in named.items()}
        pairs = {n: self._pair(n, t, list(connections)) for n, t in self._named(raw, "pair").items()}
        good = {n: c for n, c in connections.items() if c}
        sound = {n: p for n, p in pairs.items() if p}
        self._collisions(good, sound)
        if self.problems or not (company and state and secrets):
            return None
        return Settings(
            path=self.file,
            company=company,
            state=self._state(state),
            secrets=secrets.model_copy(
                update={
                    "folder": self.base / secrets.folder.expanduser(),
                    "key_file": self.base / secrets.key_file.expanduser() if secrets.key_file else None,
                }
            ),
            connections=good,
            pairs=sound,
        )

    def _company(self, raw: Mapping[str, Any]) -> CompanySettings | None:
        if "company" not in raw:
            self.problem((), "[company] name", "is missing")
            return None
        return self.table(CompanySettings, raw["company"], ("company",))

    def _state(self, state: StateSettings) -> StateSettings:
        if isinstance(state.url, SecretRef) or not state.url.startswith("sqlite:///"):
            return state
        name = state.url.removeprefix("sqlite:///")
        return state if name in {"", ":memory:"} else StateSettings(url=f"sqlite:///{self.base / name}")

    def _named(self, raw: Mapping[str, Any], what: str) -> dict[str, Any]:
        tables = raw.get(what, {})
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            self.problem((), what, f"should be tables with a name each: [{what}.NAME]")
            return {}
        for name in tables:
            if not _NAME.fullmatch(name):
                self.problem((what, name), "", "a name has up to 40 lower-case letters, digits, - and _")
        return tables

    def _connection(self, name: str, raw: Mapping[str, Any]) -> ConnectionSettings | None:
        path = ("connection", name)
        kind = raw.get("kind")
        known = [*KINDS, *(p.name for p in entry_points(group="tieout.connectors"))]
        if not isinstance(kind, str) or kind not in known:
            says = "is missing" if kind is None else f"{kind!r} is not one of {', '.join(known)}"
            self.problem(path, "kind", says + suggestion(str(kind), known))
            return None
        options = {k: v for k, v in raw.items() if k != "kind"}
        if kind == "tabular":
            return self._tabular(name, options, path)
        model = KINDS.get(kind)
        if model is None:
            clean, good = self._references(options, path)
            return ConnectionSettings(name=name, kind=kind, options=clean) if good else None
        read = self.table(model, options, path, also=("kind",))
        return ConnectionSettings(name=name, kind=kind, options=_plain(read)) if read else None

    def _tabular(self, name: str, options: dict[str, Any], path: lines.Path) -> ConnectionSettings | None:
        before = len(self.problems)
        exports = options.get("exports", [])
        if not isinstance(exports, list) or not exports:
            says = "is empty" if exports == [] else "should be a list of tables"
            self.problem(path, "exports", f'{says}: name the files, such as [{{ glob = "*.csv", profile = "…" }}]')
            exports = []
        read = [self.table(ExportSettings, one, (*path, "exports", str(i))) for i, one in enumerate(exports)]
        for i, export in enumerate(read):
            if export and export.entity and export.entity not in ENTITIES:
                self._word((*path, "exports", str(i)), "entity", export.entity, ENTITIES)
        imports = options.get("imports", {})
        for entity in imports if isinstance(imports, dict) else ():
            if entity not in ENTITIES:
                self.problem(
                    (*path, "imports"), entity, f"is not one of {', '.join(ENTITIES)}" + suggestion(entity, ENTITIES)
                )
        if isinstance(imports, dict) and imports and not options.get("outbox"):
            self.problem(path, "outbox", "is missing: imports need a folder to write to")
        rest = options | {"exports": [e for e in read if e] or [ExportSettings(glob="*", profile="x")]}
        table = self.table(KINDS["tabular"], rest, path, also=("kind",))
        if table is None or len(self.problems) > before:
            return None
        plain = _plain(table)
        for key in ("folder", "outbox"):
            if key in plain:
                plain[key] = self.base / plain[key].expanduser()
        plain["exports"] = tuple(e | {"profile": self._profile(e["profile"])} for e in plain["exports"])
        plain["imports"] = {entity: self._profile(p) for entity, p in plain.get("imports", {}).items()}
        return ConnectionSettings(name=name, kind="tabular", options=plain)

    def _profile(self, name: str) -> str:
        """A shipped name as it is; a path from the folder of tieout.toml."""
        return str(self.base / Path(name).expanduser()) if "/" in name or name.endswith(".toml") else name

    def _word(self, path: lines.Path, key: str, word: object, known: tuple[str, ...]) -> None:
        self.problem(path, key, f"{word!r} is not one of {', '.join(known)}" + suggestion(str(word), known))

    def _pair(self, name: str, raw: Mapping[str, Any], connections: list[str]) -> PairSettings | None:
        path = ("pair", name)
        before = len(self.problems)
        table = self.table(PairTable, {k: v for k, v in raw.items() if k not in _PAIR_TABLES}, path, also=_PAIR_TABLES)
        for side in ("left", "right"):
            said = raw.get(side)
            if isinstance(said, str) and said and said not in connections:
                self.problem(path, side, f"there is no [connection.{said}]" + suggestion(said, connections))
        if raw.get("left") is not None and raw.get("left") == raw.get("right"):
            self.problem(path, "right", "is the same connection as left")
        for word in table.unattended if table else ():
            if word not in UNATTENDED:
                self._word(path, "unattended", word, UNATTENDED)
        flows = self._words(raw, path, "flows", ENTITIES, get_args(Flow))
        policy = self._policy(raw.get("policy", {}), (*path, "policy"))
        codes = self._codes(raw.get("codes", {}), (*path, "codes"))
        limits = self.table(LimitSettings, raw.get("limits", {}), (*path, "limits"))
        report = self.table(ReportSettings, raw.get("report", {}), (*path, "report"))
        rounding = self.table(RoundingSettings, raw["rounding"], (*path, "rounding")) if "rounding" in raw else None
        if not (table and limits and report) or len(self.problems) > before:
            return None
        return PairSettings(
            **{field: getattr(table, field) for field in PairTable.model_fields},
            name=name,
            flows=cast("dict[str, Flow]", dict.fromkeys(ENTITIES, "both") | flows),
            policy=policy,
            codes=codes,
            limits=limits,
            rounding=rounding,
            as_of=report.as_of,
        )

    def _words(
        self, raw: Mapping[str, Any], path: lines.Path, key: str, keys: tuple[str, ...], values: tuple[str, ...]
    ) -> dict[str, Any]:
        table = raw.get(key, {})
        if not isinstance(table, dict):
            self.problem(path, key, "should be a table")
            return {}
        for name, value in table.items():
            if name not in keys:
                self.problem((*path, key), name, f"is not one of {', '.join(keys)}" + suggestion(name, keys))
            elif value not in values:
                self._word((*path, key), name, value, values)
        return table

    def _policy(self, raw: Any, path: lines.Path) -> dict[tuple[str, str], str]:
        """(entity, field) -> owner, from `invoice.memo = …` or `"invoice.memo" = …`."""
        policy: dict[tuple[str, str], str] = {}
        for key, owner in _flat(raw, depth=2):
            entity, _, name = key.partition(".")
            if entity not in ENTITIES or not name:
                self.problem(path, key, "should be entity.field, such as invoice.memo" + suggestion(entity, ENTITIES))
            elif name not in policy_fields(entity):
                known = policy_fields(entity)
                says = "is not compared, so it has no owner" if _stated(entity, name) else "is not a field of it"
                self.problem(path, key, says + suggestion(name, known))
            elif owner not in OWNERS:
                self._word(path, key, owner, OWNERS)
            elif owner == "two_way" and name not in TWO_WAY[entity]:
                free = ", ".join(sorted(TWO_WAY[entity]))
                self.problem(
                    path,
                    key,
                    f"two_way is never possible for money, dates, customer or tax; only for {free or 'no field of it'}",
                )
            else:
                policy[entity, name] = owner
        return policy

    def _codes(self, raw: Any, path: lines.Path) -> dict[str, Mapping[str, str] | None]:
        """Per kind of code: left value -> right value, both text; None where both books use the same codes."""
        if raw == "same":
            return dict.fromkeys(CODES)
        if not isinstance(raw, dict):
            self.problem(path[:-1], "codes", 'should be a table, or "same"')
            return {}
        found: dict[str, Mapping[str, str] | None] = {}
        for kind, table in raw.items():
            if kind not in CODES:
                self.problem(path, kind, f"is not one of {', '.join(CODES)}" + suggestion(kind, CODES))
            elif table == "same":
                found[kind] = None
            elif not isinstance(table, dict):
                self.problem(path, kind, 'should be a table of "left code" = "right code", or "same"')
            else:
                for left, right in table.items():
                    if not isinstance(right, str):
                        self.problem((*path, kind), left, "should be text in quotes: codes may begin with zeros")
                found[kind] = dict(table)
        return found

    def _collisions(self, connections: Mapping[str, ConnectionSettings], pairs: Mapping[str, PairSettings]) -> None:
        """The same books under two names would be synced with themselves."""
        seen: dict[tuple[str, ...], str] = {}
        for name, connection in connections.items():
            o = connection.options
            if connection.kind == "quickbooks":
                self._once(
                    seen, ("company_id", o["company_id"], o["environment"], str(o.get("api_base"))), "connection", name
                )
            elif connection.kind == "tabular" and "outbox" in o:
                self._once(seen, ("outbox", str(o["outbox"])), "connection", name)
                if o["outbox"] == o["folder"]:
                    self.problem(("connection", name), "outbox", "is the same folder as `folder`")
        for name, pair in pairs.items():
            self._once(seen, ("left", *sorted((pair.left, pair.right))), "pair", name)

    def _once(self, seen: dict[tuple[str, ...], str], what: tuple[str, ...], table: str, name: str) -> None:
        if what in seen:
            says = "has the same two connections as" if table == "pair" else "is the same as that of"
            self.problem((table, name), what[0], f"{says} [{table}.{seen[what]}]")
        seen.setdefault(what, name)


def _plain(table: Table) -> dict[str, Any]:
    """The values that were set or have a default, without the unset ones; references stay references."""
    plain: dict[str, Any] = {}
    for name, value in table:
        if isinstance(value, SecretRef):
            plain[name] = value
        elif isinstance(value, tuple):
            plain[name] = tuple(_plain(v) if isinstance(v, Table) else v for v in value)
        elif value is not None:
            plain[name] = value
    return plain


def _flat(raw: Any, *, depth: int, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(raw, dict) or not depth:
        return [(prefix, raw)]
    return [pair for k, v in raw.items() for pair in _flat(v, depth=depth - 1, prefix=f"{prefix}.{k}".lstrip("."))]


def _stated(entity: str, name: str) -> bool:
    return name in type_of[Entity(entity)].model_fields


def _is_union_tag(part: object) -> bool:
    return part in {"str", "SecretRef", "nullable"} or (isinstance(part, str) and part.startswith("function-"))


def _keys(model: type[Table], inside: list[str]) -> list[str]:
    return [] if inside else list(model.model_fields)
