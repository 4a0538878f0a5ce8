"""The page of records: fields and what the docstrings of model.py say of them."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tieout import model
from tieout.model import Record

RECORDS: tuple[type[Record], ...] = (
    model.Ref, model.Customer, model.Address, model.Invoice, model.CreditMemo, model.Line, model.TaxLine,
    model.Instalment, model.Payment, model.Application, model.Credit, model.Group, model.Share, model.Adjustment,
    model.ControlBalance,
    model.Company, model.ClosedPeriod,
)  # fmt: skip
CHOICES: tuple[type[StrEnum], ...] = (
    model.Entity, model.PostingState, model.Existence, model.Method, model.AdjustmentKind,
)  # fmt: skip
_PLAIN = {str: "text", bool: "yes or no", int: "whole number", date: "date", model.Decimal: "number"}


def kind(annotation: Any, metadata: Any = ()) -> str:
    """A type in words: `amount` is money ≥ 0, `signed amount` may be negative."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0], inner[1:])
    if origin in (Union, UnionType):
        return " or ".join("absent" if a is type(None) else kind(a) for a in inner)
    if origin is tuple:
        return "list of " + kind(inner[0])
    if origin is dict:
        return f"{kind(inner[0])} by {kind(inner[1])}"
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in inner)
    if annotation is model.Decimal and metadata:
        checks = {getattr(m, "func", None) for m in metadata}
        if model._money in checks:  # noqa: SLF001  the page says which amounts may be negative
            return "amount"
        return "signed amount" if model._signed in checks else "rate"  # noqa: SLF001  as above
    if isinstance(annotation, type) and issubclass(annotation, Record | StrEnum):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return _PLAIN.get(annotation, str(annotation))


def default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    return "absent" if value is None else "none" if value == () else f"`{value}`".lower()


def record_section(record: type[Record]) -> str:
    notes = [cleandoc(base.__doc__) for base in reversed(record.__mro__) if _speaks(base)]
    rows = [
        f"| `{name}` | {kind(field.annotation, tuple(field.metadata))} | {default(field)} |\n"
        for name, field in record.model_fields.items()
    ]
    said = "".join(f"{note}\n\n" for note in notes)
    return f"## {record.__name__}\n\n{said}| field | value | default |\n| --- | --- | --- |\n" + "".join(rows)


def _speaks(base: type) -> bool:
    return isinstance(base, type) and issubclass(base, Record) and base is not Record and bool(base.__doc__)


def choice_section(choice: type[StrEnum]) -> str:
    note = cleandoc(choice.__doc__) + "\n\n" if "__doc__" in choice.__dict__ and choice.__doc__ else ""
    return f"## {choice.__name__}\n\n{note}" + ", ".join(f"`{c.value}`" for c in choice) + "\n"


def page(generated: str) -> str:
    """Every record with its fields, every closed set of values."""
    return "\n".join(
        [
            "# Records\n",
            generated,
            "What a connector makes of a system's own records. A record is frozen; an unknown field is refused.\n",
            cleandoc(model.__doc__ or "") + "\n",
            (
                "An *amount* is not negative; the kind of the record carries the sign, in `model.effects` alone: "
                "invoices raise receivables, credit memos and payments lower them, an adjustment says by its `side`. "
                "A field without a default is always stated, if only as absent.\n"
            ),
            *map(record_section, RECORDS),
            *map(choice_section, CHOICES),
        ]
    )
