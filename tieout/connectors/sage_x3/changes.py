"""What changed in a Sage X3 since the last look: told by a sub-program of the site, or by X3's own exports.

X3 has no change feed. A sub-program that a site has names changes and deletions by a counter. An export names rows by
the time of their last change, which classic objects keep by the day only, and no deletions: those show in a full read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from tieout.connectors.redact import redact
from tieout.connectors.sage_x3.objects import Changed, Objects
from tieout.connectors.sage_x3.payload import program
from tieout.connectors.sage_x3.settings import Export, SageX3Settings
from tieout.errors import FatalError, RetriableError, TieoutError

_STAMP = "%Y%m%d%H%M%S"
_DATES = {"yyyymmdd": "%Y%m%d", "dd/mm/yyyy": "%d/%m/%Y"}
_SEPARATOR, _END, _REALTIME = "|", "END", "REALTIME"
_DONE, _PENDING = "0", "1"
_POLL = 5
# A value in quotes that are doubled inside, or a plain one; then what ends it.
_VALUE = re.compile(r'(?:"((?:[^"]|"")*)"|([^;|]*))(;|\||$)')


Told = Mapping[str, str]


class Feed(Protocol):
    """A way to find changes. A cursor is text of its own; a look begins where the last one's cursor says."""

    removals: bool

    def refused(self) -> Iterator[str]:
        """What it needs of X3 and is not given, each with what X3 says."""

    def start(self) -> Any:
        """What to remember before everything is read, for the `cursor` afterwards."""

    def cursor(self, start: Any, newest: str) -> str | None:
        """The cursor of a full read that began at `start`. newest: the last WW_MODSTAMP in it, "" for none."""

    def knows(self, cursor: str) -> bool:
        """Whether the cursor is one of this feed's."""

    def since(self, cursor: str, kinds: Sequence[str]) -> tuple[Changed, str]:
        """Objects of the kinds that changed, open items as DUD with the key TYP~NUM; and the next cursor."""


@dataclass
class Ticks:
    """The site's sub-program `changes`."""

    objects: Objects
    removals: bool = True

    def refused(self) -> Iterator[str]:  # its sub-program is one of the services
        yield from ()

    def start(self) -> int:
        return self.objects.tick()

    def cursor(self, start: int, newest: str) -> str:  # noqa: ARG002  a counter needs no time
        return json.dumps({"tick": start})

    def knows(self, cursor: str) -> bool:
        told = _loaded(cursor, "tick")
        return isinstance(told, int) and told >= 0

    def since(self, cursor: str, kinds: Sequence[str]) -> tuple[Changed, str]:  # noqa: ARG002  it tells all at once
        changed = self.objects.changes(_loaded(cursor, "tick"))
        return changed, json.dumps({"tick": changed.tick})


@dataclass
class Exports:
    """AOWSEXPORT by the installation's templates, at once or as a batch that AOWSBATGET gives later.

    The watermark is X3's own time: the newest change that was seen, never our clock's. What was seen is asked for
    again by the overlap, and by the length of the read that saw it.
    """

    objects: Objects
    settings: SageX3Settings
    clock: Callable[[], datetime]
    removals: bool = False

    def refused(self) -> Iterator[str]:
        """Each template is asked for what changed today. A batch is not waited for: that it is taken tells enough."""
        for kind, export in self.settings.exports.items():
            try:
                told = self._requested(export, self.clock())
                if self._queued(told) is None:
                    list(self._read(export, self._done(export, told)))
            except TieoutError as why:
                yield f"exports.{kind}: {why.message}"

    def start(self) -> datetime:
        return self.clock()

    def cursor(self, start: datetime, newest: str) -> str | None:
        seen = _moment(newest)
        return None if seen is None else _marked(seen - max(self.clock() - start, timedelta(0)))

    def knows(self, cursor: str) -> bool:
        """A time that X3 cannot have reached, wherever it is, is none of this X3's: nothing would change after it."""
        at = _moment(_loaded(cursor, "at"))
        return at is not None and at <= self.clock().replace(tzinfo=None) + timedelta(days=1)

    def since(self, cursor: str, kinds: Sequence[str]) -> tuple[Changed, str]:
        newest = _moment(_loaded(cursor, "at"))
        assert newest is not None, "a cursor that is known"
        least = newest - timedelta(seconds=self.settings.overlap_seconds)
        keys: dict[tuple[str, str], None] = {}
        for kind in (*kinds, *(["DUD"] if "DUD" in self.settings.exports and kinds != ["BPC"] else ())):
            for key, at in self._rows(self.settings.exports[kind], least):
                newest = max(newest, at)
                # Midnight may stand for a day that X3 keeps without a time.
                if at >= least or at.time() == datetime.min.time():
                    keys[(kind, key)] = None
        return Changed(tuple(keys), (), 0), _marked(newest)

    def _rows(self, export: Export, least: datetime) -> Iterator[tuple[str, datetime]]:
        """(key, time of the last change) of objects that changed on the day of `least` or later."""
        yield from self._read(export, self._file(export, least))

    def _read(self, export: Export, file: str) -> Iterator[tuple[str, datetime]]:
        most, others = max(export.key, export.changed, export.type or 0), set[str]()
        own = 0
        for record in split(file):
            if record[0] != export.mark:
                others.add(record[0])
                continue
            own += 1
            told = [value.strip() for value in record] + [""] * most
            at, key = _moment(told[export.changed].ljust(14, "0")), told[export.key]
            if at is None:
                raise _misplaced(export, f"no time of a change in place {export.changed} of record {export.mark}")
            if not key or (export.type and not told[export.type]):
                raise _misplaced(export, f"no key in place {export.key if not key else export.type}")
            yield (f"{told[export.type]}~{key}" if export.type else key), at
        if others and not own:
            raise _misplaced(export, f"no record {export.mark}, but {redact(', '.join(sorted(others)), 40)}")

    def _file(self, export: Export, least: datetime) -> str:
        """The export file, waited for where it is made in a batch. Raises RetriableError where it does not come."""
        told = self._requested(export, least)
        waited = 0
        while (number := self._queued(told)) is not None:
            if waited >= self.settings.export_wait_seconds:
                raise RetriableError(
                    f"the export of {export.template} (request {number}) is not done after {waited} s",
                    hint="look at the batch server of X3, or raise `export_wait_seconds`",
                )
            if waited or told.get("O_STATUS") == _PENDING:
                self.objects.wire.sleep(_POLL)
            waited += _POLL
            told = {**self.objects.called("batch", program(GRP1={"I_REQNUM": number})), "O_REQNUM": number}
        return self._done(export, told)

    def _requested(self, export: Export, least: datetime) -> Told:
        """What X3 says to a request for what changed on the day of `least` or later."""
        day = least.strftime(_DATES[self.settings.export_dates])
        return self.objects.called(
            "export",
            program(
                GRP1={"I_MODEXP": export.template, "I_CHRONO": "NO"},
                GRP2=[{"I_TCRITERE": f"{export.field}>=[{day}]"}],
                GRP3={"I_EXEC": self.settings.export_mode, "I_RECORDSEP": _SEPARATOR},
            ),
        )

    def _queued(self, told: Told) -> str | None:
        """The number of a batch request that is not done; None for what is done, or failed."""
        number = told.get("O_REQNUM", "").strip()
        open_ = number not in ("", "0") and told.get("O_STATUS", _DONE) in (_DONE, _PENDING)
        return number if open_ and not told.get("O_FILE") and "batch" in self.objects.services else None

    def _done(self, export: Export, told: Told) -> str:
        """The file. Raises RetriableError where X3 says that there is none."""
        file = told.get("O_FILE", "")
        if told.get("O_STATUS", _DONE) != _DONE or not file:
            raise RetriableError(
                f"the export of {export.template} gives no file: {redact(told.get('O_MESSA', ''), 200)}"
            )
        return file


def _misplaced(export: Export, what: str) -> FatalError:
    return FatalError(
        f"template {export.template} has {what}", hint="correct `exports` of the connection after the template's fields"
    )


def split(file: str) -> Iterator[list[str]]:
    """The records of an export file, each with its indicator first. Raises RetriableError for one that breaks off."""
    record: list[str] = []
    for value in _VALUE.finditer(file.strip("\r\n")):
        record.append(value[2] if value[1] is None else value[1].replace('""', '"'))
        if value[3] == ";":
            continue
        if record == [_END]:
            return
        if record != [""]:
            yield record
        record = []
    raise RetriableError("an export file breaks off before its END")


def _marked(at: datetime) -> str:
    return json.dumps({"at": at.strftime(_STAMP)})


def _moment(stamp: Any) -> datetime | None:
    """A time of X3, as it tells it; None if it is none."""
    if not isinstance(stamp, str) or not re.fullmatch(r"(?:19|[2-9][0-9])[0-9]{12}", stamp):
        return None
    try:
        return datetime.strptime(stamp, _STAMP)
    except ValueError:
        return None


def _loaded(cursor: str, key: str) -> Any:
    try:
        return json.loads(cursor, parse_float=str)[key]
    except (ValueError, KeyError, TypeError):
        return None
