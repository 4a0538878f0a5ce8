"""What no one has verified about a vendor, as switches: a frozen dataclass, set by texts of the form `name=value`."""

from __future__ import annotations

from datetime import date
from typing import Any, TypeVar, get_args, get_type_hints

from tieout.errors import ConfigError

Made = TypeVar("Made")


def parsed(kind: type[Made], settings: list[str] | tuple[str, ...]) -> Made:
    """The switches of a sandbox as these texts set them; every wrong one is named in one ConfigError."""
    hints, problems, values = get_type_hints(kind), [], {}
    for setting in settings:
        name, _, text = setting.partition("=")
        name, text = name.strip().replace("-", "_"), text.strip()
        if name not in hints:
            problems.append(f"no switch {name!r}; there are: {', '.join(hints)}")
            continue
        try:
            values[name] = _value(hints[name], text)
        except ValueError as why:
            problems.append(f"switch {name}={text}: {why}")
    if problems:
        raise ConfigError("the sandbox switches are wrong", problems=tuple(problems))
    return kind(**values)


def choices(kind: type, *, text: tuple[str, ...] = ()) -> dict[str, tuple[Any, ...]]:
    """Every switch with its settings, the default first; of one that takes any number or day, two examples.

    text: examples for those that take any text
    """
    told: dict[str, tuple[Any, ...]] = {}
    for name, hint in get_type_hints(kind).items():
        given = getattr(kind(), name)
        examples = {bool: (given, not given), int: (0, 90), str: text}
        told[name] = examples.get(hint) or (("none", "2025-12-31") if date in get_args(hint) else get_args(hint))
    return told


def _value(hint: Any, text: str) -> Any:
    if hint is bool:
        if text.lower() in {"true", "on", "yes", "1"}:
            return True
        if text.lower() in {"false", "off", "no", "0"}:
            return False
        raise ValueError("say true or false")
    if hint is int:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError("say a number of seconds")
        return int(text)
    if hint is str:
        return text
    if date in get_args(hint):
        return None if text.lower() in {"", "none"} else date.fromisoformat(text)
    if text not in get_args(hint):
        raise ValueError(f"one of {', '.join(get_args(hint))}")
    return text
