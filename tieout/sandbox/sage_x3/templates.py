"""Export and import templates: which records a file has, and which fields a record."""

from __future__ import annotations

from dataclasses import dataclass

STAMPS = ("CREDATTIM", "UPDDATTIM", "CREUSR", "UPDUSR", "AUUID", "UPDTICK")


@dataclass(frozen=True, slots=True)
class Record:
    """A kind of record: its indicator, the grid whose lines it holds ("" for the object itself), its fields."""

    mark: str
    grid: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """object: what a file is about; the first record begins a new one, the others follow it."""

    object: str
    records: tuple[Record, ...]


def _template(object: str, *records: tuple[str, str, str]) -> Template:
    return Template(object, tuple(Record(mark, grid, tuple(fields.split())) for mark, grid, fields in records))


_STAMPS = " " + " ".join(STAMPS)
_ADDRESS = "CODADR BPADES BPACRY ADDLIG1 ADDLIG2 ADDLIG3 POSCOD CTY SAT TEL1 WEB1 BPAADDFLG"
_TOTALS = " CPY CPYCUR SNS STA INVTYP RATMLT RATDIV AMTNOTL AMTATIL"
EXPORTS = {
    "BPC": _template(
        "BPC",
        ("B", "", "BPCNUM BPCNAM BPCSTA BCGCOD BPRSHO CRY LAN CRN EECNUM CUR VACBPR PTE BPCREM" + _STAMPS),
        ("A", "addresses", _ADDRESS),
    ),
    "SIH": _template(
        "SIH",
        (
            "E",
            "",
            "NUM SIVTYP SALFCY BPCINV INVREF INVDAT CUR PTE STRDUDDAT VACBPR PRITYP SIHORINUM INVNOT INVATI"
            + _TOTALS
            + _STAMPS,
        ),
        ("L", "lines", "SIDLIN ITMREF ITMDES QTY NETPRI AMTNOTLIN AMTATILIN VACITM1"),
        ("T", "taxes", "XVTAX XVRAT XVNOT XVAMT"),
    ),
    "BIC": _template(
        "BIC",
        (
            "E",
            "",
            "NUM SIVTYP FCY BPR BPRVCR BPRDAT ACCDAT CUR PTE STRDUDDAT INVNUM GTE JOU AMTNOT AMTATI"
            + _TOTALS
            + _STAMPS,
        ),
        ("L", "lines", "ACC DES AMTNOTLIN VAT AMTVAT"),
        ("T", "taxes", "TAX RATTAX BASTAX AMTTAX"),
    ),
    "PAY": _template(
        "PAY",
        (
            "P",
            "",
            "NUM STA2 FCY CPY BPR ACCDAT REF BAN CUR AMTCUR CHQNUM DES TOTIMPUT RSTIMPUT TOTLOC CPYCUR" + _STAMPS,
        ),
        ("D", "lines", "DENCOD VCRTYP VCRNUM CURLIN AMTLIN"),
    ),
    "DUD": _template(
        "DUD",
        (
            "D",
            "",
            "TYP NUM ACCNUM DUDLIG CPY FCY CUR SAC BPR DUDDAT PAM SNS AMTCUR AMTLOC PAYCUR PAYLOC TMPCUR FLGCLE"
            + _STAMPS,
        ),
    ),
    "GAS": _template(
        "GAS",
        ("H", "", "TYP NUM ACCNUM FCY CPY JOU ACCDAT CUR CPYCUR BPRVCR REF" + _STAMPS),
        ("G", "lines", "ACC BPR SNS AMTCUR AMTLED DES MTC"),
    ),
}
IMPORTS = {
    "BPC": _template(
        "BPC", ("B", "", "BPCNUM BPCNAM BCGCOD CRY LAN CRN EECNUM CUR VACBPR PTE"), ("A", "addresses", _ADDRESS)
    ),
    "SIH": _template(
        "SIH",
        ("E", "", "NUM SIVTYP SALFCY BPCINV INVREF INVDAT CUR PTE STRDUDDAT VACBPR PRITYP SIHORINUM"),
        ("L", "lines", "ITMREF ITMDES QTY NETPRI VACITM1"),
    ),
    "BIC": _template(
        "BIC",
        ("E", "", "NUM SIVTYP FCY BPR BPRVCR BPRDAT ACCDAT CUR PTE STRDUDDAT INVNUM"),
        ("L", "lines", "ACC DES AMTNOTLIN VAT"),
    ),
    "PAY": _template(
        "PAY",
        ("P", "", "NUM FCY BPR ACCDAT REF BAN CUR AMTCUR CHQNUM DES"),
        ("D", "lines", "DENCOD VCRTYP VCRNUM AMTLIN"),
    ),
}
END = "END"


def quoted(value: str, separator: str) -> str:
    """A value as it stands in a file: in quotes when it holds a separator, a quote or a line end."""
    if any(c in value for c in (";", '"', separator, "\n", "\r")):
        return '"' + value.replace('"', '""') + '"'
    return value


def split(text: str, separator: str) -> list[list[str]]:
    """The records of a file, each as its values; quotes are taken off. What follows END is not read."""
    records: list[list[str]] = []
    row: list[str] = []
    value, inside, n = "", False, 0
    text = text.strip("\r\n")
    while n <= len(text):
        char = text[n : n + 1]
        if inside and char == '"' and text[n + 1 : n + 2] == '"':
            value, n = value + '"', n + 1
        elif char == '"' and (inside or not value):
            inside = not inside
        elif inside and char:
            value += char
        elif char == ";":
            row, value = [*row, value], ""
        elif not char or text.startswith(separator, n):
            records.append([*row, value])
            row, value, n = [], "", n + max(len(separator), 1) - 1
        else:
            value += char
        n += 1
    last = next((i for i, record in enumerate(records) if record == [END]), len(records))
    return [record for record in records[:last] if record != [""]]
