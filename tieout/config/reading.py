"""From raw TOML tables to models, collecting every problem with its line instead of stopping at the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tieout.config import lines
from tieout.config.settings import SecretRef, Table, suggestion

T = TypeVar("T", bound=Table)
_NAMES = (
    "(?:secret|password|passwd|passphrase|pwd|token|credential|(?:api|access|account|private|shared|signing)[_-]?key)s?"
)
_SECRET = re.compile(_NAMES + "$", re.IGNORECASE)
_HOLDS = re.compile(
    r"^https?://[^/@]*:[^/@]+@"
    r"|^(?!https?:)[a-z][a-z0-9+.-]*://[^:/@]*:[^@]+@"  # of a database, whose password may have a slash
    rf"|{_NAMES}\s*=\s*[^\s;&]",  # in the query of an address, or among settings in one text
    re.IGNORECASE,
)
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


def is_secret(key: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    return _SECRET.search(key) is not None


def holds_secret(text: str) -> bool:
    """Whether a password or the like stands in a text: an address, or a list of settings."""
    return _HOLDS.search(text) is not None


class Reader:
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
        clean, good = self.references(raw, path)
        try:
            read = model.model_validate(clean)
        except ValidationError as error:
            found = {_key(one): one for one in reversed(error.errors(include_url=False))}  # of a choice, the first
            for key, one in reversed(found.items()):
                self._explain(model, key, one, path, also)
            return None
        return read if good else None

    def references(
        self, raw: Mapping[str, Any], path: lines.Path, *, secret: bool = False
    ) -> tuple[dict[str, Any], bool]:
        """The table with secret references made, and whether none of them is wrong or stands there in plain text.

        secret: whether the name of the table says that all in it is secret
        """
        clean = dict(raw)
        before = len(self.problems)
        for key, value in raw.items():
            if isinstance(value, dict) and value and set(value) <= {"env", "command", "keyring"}:
                clean[key] = self.reference(value, path, key)
            elif isinstance(value, dict):
                clean[key] = self.references(value, (*path, key), secret=secret or is_secret(key))[0]
            elif secret or is_secret(key):
                clean[key] = _ANY_REFERENCE
                self.problem(
                    path,
                    key,
                    'a secret may not stand here; name where it is: { env = "NAME" }, '
                    '{ command = ["…"] } or { keyring = "service/name" }',
                )
            elif isinstance(value, str) and holds_secret(value):
                clean[key] = _ANY_REFERENCE
                self.problem(path, key, 'holds a password; give the whole address by reference: { env = "NAME" }')
            elif isinstance(value, list):
                for i, one in enumerate(value):
                    inner, at = (one, (*path, key, str(i))) if isinstance(one, dict) else ({key: one}, path)
                    self.references(inner, at)
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

    def _explain(self, model: type[Table], key: str, error: Any, path: lines.Path, also: tuple[str, ...]) -> None:
        kind, value = error["type"], error["input"]
        if kind == "extra_forbidden":
            known = SecretRef.model_fields if "." in key else [*model.model_fields, *also]
            message = "is not a known key" + suggestion(key.rpartition(".")[2], list(known))
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

    def word(self, path: lines.Path, key: str, word: object, known: tuple[str, ...]) -> None:
        """The problem of a value that is none of the known ones."""
        self.problem(path, key, f"{word!r} is not one of {', '.join(known)}" + suggestion(str(word), known))


def _dotted(path: lines.Path) -> str:
    return "[" + ".".join(p if re.fullmatch(r"[\w-]+", p) else f'"{p}"' for p in path) + "]"


def _key(error: Any) -> str:
    """The key that an error is about, without pydantic's names for the members of a choice."""
    parts = [str(p) for p in error["loc"]]
    return ".".join(
        p for p in parts if p not in {"str", "SecretRef", "[key]"} and not p.startswith(("function-", "dict["))
    )
