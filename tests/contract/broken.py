"""Deliberately broken connectors, and two whole ones: what the contract must tell apart. The set only grows.

Each breaks the reference connector in one way that a real connector has broken, or could.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from tieout.connectors import Observation, Op, Pull, Written
from tieout.connectors.memory import MemoryConnector
from tieout.errors import (
    DuplicateNumber,
    FatalError,
    NotFoundError,
    RecordError,
    RetriableError,
    StaleWrite,
    TieoutError,
    UnknownOutcome,
)
from tieout.model import Customer, Entity, Existence, Invoice, Payment, PostingState

log = logging.getLogger("tieout.broken")


class Whole(MemoryConnector):
    """Control: nothing changed."""


class WholeButEager(MemoryConnector):
    """Control: reads a whole list before it yields the first record, and newest first."""

    def pull(self, entity, cursor=None):
        inner = super().pull(entity, cursor)
        pull = Pull(observations=iter(()), full=inner.full)

        def read():
            seen = sorted(inner, key=lambda o: o.id, reverse=True)
            pull.complete, pull.proof, pull.cursor = inner.complete, inner.proof, inner.cursor
            yield from seen

        pull.observations = read()
        return pull


class _Mapped(MemoryConnector):
    """Changes each observation with `see`; None drops it, a list multiplies it."""

    def see(self, o):
        return o

    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def mapped():
            for o in inner:
                seen = self.see(o)
                yield from seen if isinstance(seen, list) else [] if seen is None else [seen]

        pull.observations = mapped()
        return pull

    def get(self, entity, id):
        seen = self.see(super().get(entity, id))
        if seen is None:
            raise NotFoundError(id)
        return seen[0] if isinstance(seen, list) else seen


def _with(o: Observation, **changes) -> Observation:
    fits = o.record is not None and not isinstance(o.record, RecordError)
    return replace(o, record=o.record.model_copy(update=changes)) if fits else o


def _is(o, kind):
    return isinstance(o.record, kind)


# --- reading


class DropsARecord(_Mapped):
    def see(self, o):
        return None if o.id.endswith("-3") else o


class DropsInactive(_Mapped):
    def see(self, o):
        return None if o.existence is Existence.INACTIVE else o


class DropsVoided(_Mapped):
    def see(self, o):
        return None if getattr(o.record, "state", None) is PostingState.VOIDED else o


class Duplicates(_Mapped):
    def see(self, o):
        return [o, o]


class HidesBadRecords(_Mapped):
    def see(self, o):
        return None if isinstance(o.record, RecordError) else o


class StopsAtABadRecord(MemoryConnector):
    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def stopping():
            for o in inner:
                if isinstance(o.record, RecordError):
                    raise FatalError(str(o.record))
                yield o

        pull.observations = stopping()
        return pull


class RoundsMoney(_Mapped):
    def see(self, o):
        return _with(o, total=round(o.record.total, 1)) if _is(o, Invoice) else o


class FloatsMoney(_Mapped):
    def see(self, o):
        return _with(o, amount=float(o.record.amount)) if _is(o, Payment) else o


class FloatsInThePayload(_Mapped):
    def see(self, o):
        return replace(o, raw={**o.raw, "total": float(o.raw["total"])}) if _is(o, Invoice) else o


class SwapsDates(_Mapped):
    def see(self, o):
        return _with(o, issued=o.record.due, due=o.record.issued) if _is(o, Invoice) else o


class SwapsDayAndMonth(_Mapped):
    def see(self, o):
        if not _is(o, Payment) or o.record.received.day > 12:
            return o
        day = o.record.received
        return _with(o, received=day.replace(day=day.month, month=day.day))


class WrongCurrency(_Mapped):
    def see(self, o):
        return o if isinstance(o.record, Customer) else _with(o, currency="EUR")


class LosesTax(_Mapped):
    def see(self, o):
        return _with(o, tax=Decimal("0.00")) if _is(o, Invoice) else o


class ConfusesCustomers(_Mapped):
    def see(self, o):
        return o if isinstance(o.record, Customer) or o.record is None else _with(o, customer="CUS-1")


class LosesApplications(_Mapped):
    def see(self, o):
        return _with(o, applications=()) if _is(o, Payment) else o


class CallsVoidsPosted(_Mapped):
    def see(self, o):
        return _with(o, state=PostingState.POSTED) if hasattr(o.record, "state") else o


class LeavesMarkerInMemo(_Mapped):
    def see(self, o):
        return _with(o, memo=o.raw["note"]) if hasattr(o.record, "memo") else o


class ReadsNoMarker(_Mapped):
    def see(self, o):
        return _with(o, marker=None)


class NamesAnotherConnection(_Mapped):
    def see(self, o):
        if o.record is None or isinstance(o.record, RecordError):
            return o
        return _with(o, ref=o.record.ref.model_copy(update={"connection": "elsewhere"}))


class ShortensOnAFailedPage(MemoryConnector):
    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def swallowing():
            try:
                yield from inner
            except RetriableError:
                pull.complete, pull.proof, pull.cursor = True, {"read": "some"}, self.books.now().isoformat()

        pull.observations = swallowing()
        return pull


class EmptyWhenDown(MemoryConnector):
    def pull(self, entity, cursor=None):
        try:
            return Pull(iter(list(super().pull(entity, cursor))), full=cursor is None, complete=True, proof={"x": 1})
        except RetriableError:
            return Pull(iter(()), full=cursor is None, complete=True, proof={"read": 0})


class AlwaysComplete(MemoryConnector):
    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def sure():
            yield from inner
            pull.complete = True

        pull.observations = sure()
        return pull


class CompleteWithoutProof(MemoryConnector):
    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def unproved():
            yield from inner
            pull.proof = {}

        pull.observations = unproved()
        return pull


class GetsAnotherRecord(MemoryConnector):
    def get(self, entity, id):
        super().get(entity, id)
        return next(iter(super().pull(entity)))


class GetsNothingForUnknown(MemoryConnector):
    def get(self, entity, id):
        try:
            return super().get(entity, id)
        except NotFoundError:
            return Observation(entity, id, {}, None, None, Existence.DELETED)


class GetsAStaleCopy(MemoryConnector):
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self._cache = {}

    def get(self, entity, id):
        return self._cache.setdefault((entity, id), super().get(entity, id))


class WorksForAnyCompany(MemoryConnector):
    def company(self):
        self._company_id = None
        return super().company()


class HidesClosedPeriods(MemoryConnector):
    def company(self):
        return super().company().model_copy(update={"closed": ()})


# --- deltas


class CursorFromTheEnd(MemoryConnector):
    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations

        def late():
            yield from inner
            pull.cursor = self.books.now().isoformat()

        pull.observations = late()
        return pull


class StrictlyAfterTheCursor(_Mapped):
    _after = None

    def pull(self, entity, cursor=None):
        self._after = cursor
        return super().pull(entity, cursor)

    def see(self, o):
        return (
            None if self._after and datetime.fromisoformat(o.changed_at) <= datetime.fromisoformat(self._after) else o
        )


class DeltaWithoutDeletions(_Mapped):
    def see(self, o):
        return None if o.existence is Existence.DELETED else o


class AbsentIsATombstone(MemoryConnector):
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self._known = {}

    def pull(self, entity, cursor=None):
        pull = super().pull(entity, cursor)
        inner = pull.observations
        known = self._known.setdefault(entity, set())

        def guessing():
            seen = set()
            for o in inner:
                seen.add(o.id)
                yield o
            for id in sorted(known - seen):
                yield Observation(entity, id, {}, None, None, Existence.DELETED)
            known.update(seen)

        pull.observations = guessing()
        return pull


# --- writing


class IgnoresKeys(MemoryConnector):
    def create(self, record, *, key, marker):
        return super().create(record, key="", marker=marker)


class OneKeyForAll(MemoryConnector):
    def create(self, record, *, key, marker):
        return super().create(record, key=record.entity.value, marker=marker)


class RetriesAWrite(MemoryConnector):
    def _send(self, request):
        try:
            return super()._send(request)
        except UnknownOutcome:
            return super()._send(request)


class TriesAWriteTwice(MemoryConnector):
    """As above, and honest about the second failure: only the requests tell."""

    def _send(self, request):
        for _ in range(2):
            try:
                return super()._send(request)
            except UnknownOutcome as error:
                last = error
        raise last


class CallsALostAnswerRejected(MemoryConnector):
    def _send(self, request):
        from tieout.errors import Rejected

        try:
            return super()._send(request)
        except UnknownOutcome as error:
            raise Rejected(str(error)) from error


class SwallowsErrors(MemoryConnector):
    def create(self, record, *, key, marker):
        try:
            return super().create(record, key=key, marker=marker)
        except TieoutError:
            return Written(id="INV-0")


class IgnoresVersions(MemoryConnector):
    def update(self, record, *, before, key):
        return super().update(record, before=replace(before, version=None), key=key)


class VoidsAnyVersion(MemoryConnector):
    def void(self, before, *, key):
        return super().void(replace(before, version=None), key=key)


class RefusesStaleAfterWriting(MemoryConnector):
    def update(self, record, *, before, key):
        now = self.get(before.entity, before.id).version
        super().update(record, before=replace(before, version=None), key=key)
        if now != before.version:
            raise StaleWrite("stale")
        return Written(id=before.id, version=now)


class NeverANewVersion(_Mapped):
    def see(self, o):
        if o.record is None or isinstance(o.record, RecordError):
            return o
        return replace(_with(o, ref=o.record.ref.model_copy(update={"version": "0"})), version="0")

    def _send(self, request):
        return super()._send(replace(request, version=None))


class RoundsWhatItWrites(MemoryConnector):
    def create(self, record, *, key, marker):
        if isinstance(record, Payment):
            record = record.model_copy(update={"amount": round(record.amount, 2)})
        return super().create(record, key=key, marker=marker)


class KeepsTheForeignId(MemoryConnector):
    def create(self, record, *, key, marker):
        written = super().create(record, key=key, marker=marker)
        return replace(written, id=record.ref.id or written.id)


class AnswersTheVersionBefore(MemoryConnector):
    def update(self, record, *, before, key):
        return replace(super().update(record, before=before, key=key), version=before.version)


class AnswersWithWhatItWasSent(MemoryConnector):
    def create(self, record, *, key, marker):
        return replace(super().create(record, key=key, marker=marker), record=record)


class UpdateCreatesADuplicate(MemoryConnector):
    def update(self, record, *, before, key):
        if isinstance(record, Customer):
            return super().update(record, before=before, key=key)
        return self.create(record, key=key, marker="")


class UpdateLosesUnmapped(MemoryConnector):
    def update(self, record, *, before, key):
        written = super().update(record, before=before, key=key)
        self.books.stored(before.entity, before.id).extra.pop("size", None)
        return written


class UpdateClearsTheRest(MemoryConnector):
    """A full update that leaves out what did not change: the system clears it."""

    def update(self, record, *, before, key):
        blank = {"po_number": None, "number": None} if isinstance(record, Invoice) else {}
        return super().update(record.model_copy(update=blank), before=before, key=key)


class UpdateDoesNothing(MemoryConnector):
    def update(self, record, *, before, key):
        return Written(id=before.id, version=before.version)


class VoidDeletes(MemoryConnector):
    def void(self, before, *, key):
        return self.delete(before, key=key)


class VoidZeroesTheNumber(MemoryConnector):
    def void(self, before, *, key):
        written = super().void(before, key=key)
        field = "reference" if before.entity is Entity.PAYMENT else "number"
        self.books.edit(before.entity, before.id, **{field: "VOID"})
        return written


class DeletesTheFirst(MemoryConnector):
    def delete(self, before, *, key):
        first = next(iter(self.pull(before.entity)))
        return super().delete(first, key=key)


class LosesTheMarker(MemoryConnector):
    def create(self, record, *, key, marker):
        return super().create(record, key=key, marker="")


class SearchFindsTheFirst(MemoryConnector):
    def search(self, entity, *, marker=None, like=None):
        return list(super().pull(entity))[:1]


class SearchFindsNothing(MemoryConnector):
    def search(self, entity, *, marker=None, like=None):
        return []


class WritesWhatItDoesNotDeclare(MemoryConnector):
    def _send(self, request):
        declared = self._capabilities
        self._capabilities = replace(declared, writes=dict.fromkeys(Entity, frozenset(Op)))
        try:
            return super()._send(request)
        finally:
            self._capabilities = declared


class RepresentRounds(MemoryConnector):
    def represent(self, record):
        kept = super().represent(record)
        return (
            kept.model_copy(update={"total": round(kept.total, 1), "subtotal": round(kept.subtotal, 1)})
            if isinstance(kept, Invoice)
            else kept
        )


class RepresentGrows(MemoryConnector):
    def represent(self, record):
        kept = super().represent(record)
        return kept.model_copy(update={"memo": f"{kept.memo}."}) if getattr(kept, "memo", None) else kept


class RepresentPromisesTooMuch(MemoryConnector):
    """Declares a field that it does not write."""

    def _send(self, request):
        record = request.record
        if isinstance(record, Invoice):
            request = replace(request, record=record.model_copy(update={"memo": None}))
        return super()._send(request)


class LeaksInItsRepr(MemoryConnector):
    def __repr__(self):
        return f"MemoryConnector(token={self._token!r})"


class LeaksInErrors(MemoryConnector):
    def company(self):
        try:
            return super().company()
        except TieoutError as error:
            raise type(error)(f"{error} (token {self._token})") from error


class LeaksInTheLog(MemoryConnector):
    def pull(self, entity, cursor=None):
        log.debug("GET %s with Bearer %s", entity, self._token)
        return super().pull(entity, cursor)


class CannotCloseTwice(MemoryConnector):
    def close(self):
        del self._buffer


class DeclaresDerivedFields(MemoryConnector):
    @property
    def capabilities(self):
        fields = super().capabilities.fields
        return replace(
            super().capabilities, fields={**fields, Entity.INVOICE: fields[Entity.INVOICE] | {"reported_open"}}
        )


class NamesFilesItDidNotWrite(MemoryConnector):
    def flush(self, *, run):
        return super().flush(run=run) or ["nothing.csv"]


class SaysPendingForEver(MemoryConnector):
    def create(self, record, *, key, marker):
        return replace(super().create(record, key=key, marker=marker), pending=True)


# --- of other profiles


class AdoptsADuplicate(MemoryConnector):
    """A connector decides nothing: whether the holder of that number is ours is not for it to say."""

    def _send(self, request):
        try:
            return super()._send(request)
        except DuplicateNumber as error:
            return Written(id=error.existing_id)


class PutsTheWholeRecord(MemoryConnector):
    def update(self, record, *, before, key):
        written = super().update(record, before=before, key=key)
        field = {Entity.CUSTOMER: "phone", Entity.ADJUSTMENT: "reason"}.get(before.entity, "memo")
        self.books.edit(before.entity, before.id, **{field: getattr(record, field)})
        return written


class HandsOverTwice(MemoryConnector):
    def flush(self, *, run):
        kept = list(self._buffer)
        paths = super().flush(run=run)
        self._buffer = kept
        return paths


class CallsAHandOverDone(MemoryConnector):
    def create(self, record, *, key, marker):
        return replace(super().create(record, key=key, marker=marker), pending=False, id="INV-1")


class WritesBeforeTheHandOver(MemoryConnector):
    def _deliver(self, request):
        self.books.write(request)
        return super()._deliver(request)


class HandsAChangeOverTwice(MemoryConnector):
    """Keeps no memory of the changes that it handed over."""

    def void(self, before, *, key):
        again = getattr(self, "_again", 0) + 1
        self._again = again
        return super().void(before, key=f"{key[:28]}{again:04}")


class VoidsBeforeTheHandOver(MemoryConnector):
    def void(self, before, *, key):
        self.books.void(before.entity, before.id)
        return super().void(before, key=key)


class AppliesBesideWhatStands(MemoryConnector):
    """Sets a payment against another invoice, and leaves the earlier one on it."""

    def update(self, record, *, before, key):
        if isinstance(record, Payment) and isinstance(before.record, Payment):
            both = {a.invoice: a for a in (*before.record.applications, *record.applications)}
            record = record.model_copy(update={"applications": tuple(both.values())})
        return super().update(record, before=before, key=key)


class ForgetsToHandOver(MemoryConnector):
    def flush(self, *, run):
        self._buffer = []
        return []


class KnowsNoHandOver(MemoryConnector):
    """What left in a file is not known to the process that comes after."""

    def handed_over(self):
        return frozenset()


class CountsWhatWaits(MemoryConnector):
    def _deliver(self, request):
        self.books.waiting = {*getattr(self.books, "waiting", ()), request.key}
        return super()._deliver(request)

    def handed_over(self):
        return super().handed_over() | getattr(self.books, "waiting", set())


BROKEN_ELSEWHERE = {
    KnowsNoHandOver: "file",
    CountsWhatWaits: "file",
    AdoptsADuplicate: "unique_number",
    PutsTheWholeRecord: "searchable_marker",
    HandsOverTwice: "file",
    CallsAHandOverDone: "file",
    WritesBeforeTheHandOver: "file",
    ForgetsToHandOver: "file",
    HandsAChangeOverTwice: "file",
    VoidsBeforeTheHandOver: "file",
}
BROKEN = (
    DeclaresDerivedFields,
    NamesFilesItDidNotWrite,
    SaysPendingForEver,
    RoundsWhatItWrites,
    KeepsTheForeignId,
    DropsARecord,
    DropsInactive,
    DropsVoided,
    Duplicates,
    HidesBadRecords,
    StopsAtABadRecord,
    RoundsMoney,
    FloatsMoney,
    FloatsInThePayload,
    SwapsDates,
    SwapsDayAndMonth,
    WrongCurrency,
    LosesTax,
    ConfusesCustomers,
    LosesApplications,
    CallsVoidsPosted,
    LeavesMarkerInMemo,
    ReadsNoMarker,
    NamesAnotherConnection,
    ShortensOnAFailedPage,
    EmptyWhenDown,
    AlwaysComplete,
    CompleteWithoutProof,
    GetsAnotherRecord,
    GetsNothingForUnknown,
    GetsAStaleCopy,
    WorksForAnyCompany,
    HidesClosedPeriods,
    CursorFromTheEnd,
    StrictlyAfterTheCursor,
    DeltaWithoutDeletions,
    AbsentIsATombstone,
    IgnoresKeys,
    OneKeyForAll,
    RetriesAWrite,
    TriesAWriteTwice,
    CallsALostAnswerRejected,
    SwallowsErrors,
    IgnoresVersions,
    VoidsAnyVersion,
    RefusesStaleAfterWriting,
    NeverANewVersion,
    AnswersTheVersionBefore,
    AnswersWithWhatItWasSent,
    UpdateCreatesADuplicate,
    UpdateLosesUnmapped,
    UpdateClearsTheRest,
    UpdateDoesNothing,
    AppliesBesideWhatStands,
    VoidDeletes,
    VoidZeroesTheNumber,
    DeletesTheFirst,
    LosesTheMarker,
    SearchFindsTheFirst,
    SearchFindsNothing,
    WritesWhatItDoesNotDeclare,
    RepresentRounds,
    RepresentGrows,
    RepresentPromisesTooMuch,
    LeaksInItsRepr,
    LeaksInErrors,
    LeaksInTheLog,
    CannotCloseTwice,
)
WHOLE = (Whole, WholeButEager)
