"""QuickBooks objects as they came over the wire: what most reads need is decoded at once, the rest when looked at.

A full list of documents that did not change is read for a few fields of each; the whole object is wanted only where
something is new. Numbers are exact: `int` or `Decimal`, never a float.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tieout.mapping.quickbooks.native import Native

exact = msgspec.json.Decoder(float_hook=Decimal).decode
_NOT_EXACT = (msgspec.DecodeError, ArithmeticError)


class MetaShape(msgspec.Struct, gc=False):
    LastUpdatedTime: Any = None


class Head(msgspec.Struct, gc=False):
    """What an observation says beside the record."""

    Id: Any = ""
    SyncToken: Any = None
    status: Any = None
    MetaData: MetaShape | None = None
    Active: Any = None

    @property
    def changed(self) -> str | None:
        """QuickBooks' own stamp of the last change, as text; None if it gives none."""
        at = self.MetaData.LastUpdatedTime if self.MetaData else None
        return at if isinstance(at, str) else None


class RefShape(msgspec.Struct, gc=False):
    value: str | None = None


class DetailShape(msgspec.Struct, gc=False):
    ItemRef: RefShape | None = None
    TaxCodeRef: RefShape | None = None
    Qty: Any = None
    UnitPrice: Any = None
    TaxInclusiveAmt: Any = None


class LineShape(msgspec.Struct, gc=False):
    DetailType: str | None = None
    Description: str | None = None
    Amount: Any = None
    SalesItemLineDetail: DetailShape | None = None


class DocumentShape(Head, gc=False):
    """The fields of an invoice or credit memo that its record is made of, in the shape they nearly always have."""

    DocNumber: str | None = None
    TxnDate: date | None = None
    DueDate: date | None = None
    PrivateNote: str | None = None
    GlobalTaxCalculation: str | None = None
    CustomerRef: RefShape | None = None
    ARAccountRef: RefShape | None = None
    CurrencyRef: RefShape | None = None
    ExchangeRate: Any = None
    Line: list[LineShape] | None = None
    TxnTaxDetail: Any = None
    TotalAmt: Any = None
    Balance: Any = None
    RemainingCredit: Any = None
    Deposit: Any = None


_document = msgspec.json.Decoder(DocumentShape, float_hook=Decimal).decode
SHAPED = frozenset({"Invoice", "CreditMemo"})


class Payload(Mapping[str, Any]):
    """One object as it was received, in one of two forms: its text with its usual fields, or, once looked at, whole.

    shape: the usual fields; None if they have another shape, or are in the whole
    """

    __slots__ = ("_at", "_texts", "_whole", "shape")

    def __init__(self, shape: DocumentShape | None, texts: _Texts | tuple[msgspec.Raw], at: int = 0) -> None:
        self.shape = shape
        self._texts: _Texts | tuple[msgspec.Raw] | None = texts
        self._at = at

    @property
    def whole(self) -> dict[str, Any]:
        if self._texts is not None:
            text = self._texts[self._at]
            try:
                self._whole: dict[str, Any] = exact(text)
            except _NOT_EXACT:  # a number that no Decimal or int can hold stays the text that it is
                self._whole = json.loads(bytes(text), parse_float=_number, parse_int=_number)
            self._texts = self.shape = None
        return self._whole

    def __getitem__(self, key: str) -> Any:
        return self.whole[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)

    def __repr__(self) -> str:
        return f"Payload({'whole' if self._texts is None else 'as received'})"


def _number(text: str) -> int | Decimal | str:
    try:
        return Decimal(text) if set(text) & set(".eE") else int(text)
    except (ArithmeticError, ValueError):
        return text


def _object(text: msgspec.Raw) -> Any:
    try:
        shape = _document(text)
    except (msgspec.ValidationError, ArithmeticError):
        return Payload(None, (text,)) if bytes(text).startswith(b"{") else exact(text)
    return Payload(shape, (text,))


def head(native: Native) -> Head:
    """The usual fields of a native object, at no cost if they were decoded before."""
    if type(native) is Payload and native.shape is not None:
        return native.shape
    meta = native.get("MetaData")
    changed = meta.get("LastUpdatedTime") if isinstance(meta, Mapping) else None
    return Head(
        native.get("Id", ""), native.get("SyncToken"), native.get("status"), MetaShape(changed), native.get("Active")
    )


class _Answer(msgspec.Struct, kw_only=True):
    time: Any = None
    Fault: Any = None
    fault: Any = None


class _Page(_Answer, kw_only=True):
    """A query's answer: lists of objects by name, and counts."""

    QueryResponse: dict[str, list[msgspec.Raw] | int]


class _Documents(msgspec.Struct, forbid_unknown_fields=True):
    Invoice: list[DocumentShape] | msgspec.UnsetType = msgspec.UNSET
    CreditMemo: list[DocumentShape] | msgspec.UnsetType = msgspec.UNSET
    StartPosition: int | msgspec.UnsetType = msgspec.field(name="startPosition", default=msgspec.UNSET)
    MaxResults: int | msgspec.UnsetType = msgspec.field(name="maxResults", default=msgspec.UNSET)
    TotalCount: int | msgspec.UnsetType = msgspec.field(name="totalCount", default=msgspec.UNSET)


class _UsualPage(_Answer, kw_only=True):
    """A page of documents that all have their usual shape: decoded in one pass."""

    QueryResponse: _Documents


_page = msgspec.json.Decoder(_Page, float_hook=Decimal).decode
_usual_page = msgspec.json.Decoder(_UsualPage, float_hook=Decimal).decode


class _Texts:
    """The texts of a page's documents, found when the first of them is wanted."""

    __slots__ = ("_body", "_found", "_name")

    def __init__(self, body: bytes, name: str) -> None:
        self._body, self._name = body, name
        self._found: list[msgspec.Raw] = []

    def __getitem__(self, at: int) -> msgspec.Raw:
        if not self._found:
            found = _page(self._body).QueryResponse[self._name]
            assert isinstance(found, list)
            self._found = found
        return self._found[at]


def page(body: bytes) -> Any:
    """A query's answer, its documents as `Payload`. Raises ValueError (also msgspec's) for what is not JSON."""
    if not body.isascii():
        body.decode()  # text that is skipped is not looked at: it must be UTF-8 all the same
    found: _UsualPage | _Page
    try:
        found = _usual_page(body)
        rows = _payloads(body, found.QueryResponse)
    except (msgspec.ValidationError, ArithmeticError):
        try:
            found = _page(body)
        except msgspec.ValidationError:  # of another shape: whoever reads it says so
            return exact(body)
        rows = {
            key: value if isinstance(value, int) else list(map(_object if key in SHAPED else exact, value))
            for key, value in found.QueryResponse.items()
        }
    return {"QueryResponse": rows, "time": found.time, "Fault": found.Fault, "fault": found.fault}


def _payloads(body: bytes, found: _Documents) -> dict[str, Any]:
    rows = {field.encode_name: getattr(found, field.name) for field in msgspec.structs.fields(found)}
    for name in SHAPED:
        if rows[name] is not msgspec.UNSET:
            texts = _Texts(body, name)
            rows[name] = [Payload(shape, texts, at) for at, shape in enumerate(rows[name])]
    return {key: value for key, value in rows.items() if value is not msgspec.UNSET}
