"""The objects' screens: which field stands in which block, with its type; and how a publication numbers the blocks.

Names of fields and blocks are X3's; those of BIC, PAY's second half and GAS that nobody has observed are invented. A
connector must not rely on a block's number anyway: it changes with the entry transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

CHAR, INTEGER, DECIMAL, DATE, FILE = "Char", "Integer", "Decimal", "Date", "Clbfile"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. length: of text, in characters. menu: its local menu. size: values of a dimensioned field.

    computed: shown, and passed over when a caller sends it.
    """

    name: str
    type: str = CHAR
    length: int = 30
    menu: int = 0
    size: int = 1
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A screen block: a group (dim 1), or a grid of `dim` lines that the document keeps under the name `grid`."""

    id: str
    fields: tuple[Field, ...]
    dim: int = 1
    grid: str = ""


@dataclass(frozen=True)
class Screen:
    """An object's screen. keys: its key fields; left: the columns of its left list.

    later: block ids after a change of the entry transaction. columns: names of the table that a query takes as well.
    """

    object: str
    table: str
    keys: tuple[str, ...]
    left: tuple[str, ...]
    blocks: tuple[Block, ...]
    later: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def heads(self) -> dict[str, Field]:
        """Fields of the groups by name."""
        return {f.name: f for block in self.blocks if block.dim == 1 for f in block.fields}

    @cached_property
    def grids(self) -> dict[str, dict[str, Field]]:
        """Fields of each grid by name."""
        return {block.grid: {f.name: f for f in block.fields} for block in self.blocks if block.dim > 1}

    def renumbered(self, changed: Mapping[str, str]) -> Screen:
        """The screen with other block ids."""
        blocks = tuple(Block(changed.get(b.id, b.id), b.fields, b.dim, b.grid) for b in self.blocks)
        return replace(self, blocks=blocks)

    def block(self, id: str) -> Block | None:
        return next((b for b in self.blocks if b.id == id), None)


def _f(names: str, type: str = CHAR, **more: int | bool) -> Iterator[Field]:
    for name in names.split():
        yield Field(name, type, **more)  # type: ignore[arg-type]


def _n(names: str, **more: bool) -> Iterator[Field]:
    return _f(names, DECIMAL, **more)


TECHNICAL = Block("ADXTEC", (Field("WW_MODSTAMP", CHAR, 14), Field("WW_MODUSER", CHAR, 5, computed=True)))

CUSTOMER = Screen(
    "BPC",
    "BPCUSTOMER",
    ("BPCNUM",),
    ("BPCNUM", "BPCNAM", "BCGCOD", "CUR"),
    (
        Block(
            "BPC0_1",
            (
                Field("BCGCOD", CHAR, 5),
                Field("ZBCGCOD", computed=True),
                Field("BPCSTA", INTEGER, menu=1),
                Field("BPCNUM", CHAR, 15),
                Field("BPCNAM", CHAR, 35),
            ),
        ),
        Block(
            "BPRC_1",
            (
                *_f("BPRSHO", length=10),
                *_f("BPRLOG", length=30),
                Field("BPRNAM", CHAR, 35, size=2),
                Field("LEGETT", INTEGER, menu=1),
                *_f("CRY", length=3),
                *_f("ZCRY", computed=True),
                *_f("LAN", length=3),
                *_f("ZLAN", computed=True),
                *_f("CRN", length=20),
                *_f("NAF", length=10),
                *_f("EECNUM", length=20),
                *_f("CUR", length=3),
                *_f("ZCUR", computed=True),
                Field("BPRFBDMAG", INTEGER, menu=1),
            ),
        ),
        Block(
            "BPC3_2",
            (
                *_f("VACBPR", length=5),
                *_f("ZVACBPR", computed=True),
                *_f("VATEXN", length=20),
                *_f("PTE", length=15),
                *_f("ZPTE", computed=True),
            ),
        ),
        Block("BPC4_1", (Field("BPCREM", CHAR, 250),)),
        Block(
            "BPAC_1",
            (
                *_f("CODADR", length=5),
                *_f("BPADES", length=30),
                *_f("BPACRY", length=3),
                *_f("CRYNAM", length=40, computed=True),
                *_f("ADDLIG1 ADDLIG2 ADDLIG3", length=50),
                *_f("POSCOD", length=10),
                *_f("CTY", length=40),
                *_f("SAT", length=35),
                *_f("TEL1 TEL2 TEL3 TEL4 TEL5", length=40),
                *_f("WEB1 WEB2 WEB3 WEB4 WEB5 FCYWEB", length=80),
                *_f("EXTNUM", length=15),
                Field("BPAADDFLG", INTEGER, menu=1),
                *_f("FLMOD", INTEGER, computed=True),
                Field("ADRVAL", INTEGER, menu=1),
                *_f("FLMODFONC", INTEGER, computed=True),
            ),
            dim=30,
            grid="addresses",
        ),
        TECHNICAL,
    ),
    {"BPC3_2": "BPC3_3"},
)

INVOICE = Screen(
    "SIH",
    "SINVOICE",
    ("NUM",),
    ("NUM", "SIVTYP", "BPCINV", "INVDAT", "CUR", "INVATI"),
    (
        Block(
            "SIH0_1",
            (
                *_f("SALFCY", length=5),
                *_f("ZSALFCY", computed=True),
                *_f("SIVTYP", length=5),
                Field("INVTYP", INTEGER, menu=645, computed=True),
                *_f("NUM", length=20),
                *_f("INVREF", length=30),
                *_f("INVDAT", DATE),
                *_f("BPCINV", length=15),
                *_f("BPINAM", length=35, computed=True),
                *_f("CUR", length=3),
                *_f("ZCUR", computed=True),
                *_f("ORIDOCNUM", length=20),
            ),
        ),
        Block("SIH1_1", (*_f("SIHNUMEND", length=20), *_f("SIHORINUM", length=20))),
        Block(
            "SIH1_2",
            (
                Field("SIHCFMFLG", INTEGER, menu=1, computed=True),
                Field("STA", INTEGER, menu=6001, computed=True),
            ),
        ),
        Block(
            "SIH1_5",
            (*_f("VACBPR", length=5), *_f("ZVACBPR", computed=True), Field("PRITYP", INTEGER, menu=243)),
        ),
        Block("SIH1_6", (Field("STOMVTFLG", INTEGER, menu=1),)),
        Block(
            "SIH2_2",
            (
                *_f("PTE", length=15),
                *_f("ZPTE", computed=True),
                *_f("STRDUDDAT", DATE),
                *_f("PAYBAN", length=30),
            ),
        ),
        Block("SIH2_3", (Field("DES", CHAR, 30, size=5),)),
        Block(
            "SIH4_1",
            (
                *_f("SIDLIN", INTEGER, computed=True),
                *_f("ITMREF", length=20),
                *_f("ITMDES ITMDES1", length=80),
                *_f("SAU STU", length=3),
                *_n("QTY GROPRI"),
                *_n(" ".join(f"DISCRGVAL{n}" for n in range(1, 10))),
                *_n("NETPRI"),
                *_n("AMTNOTLIN AMTATILIN", computed=True),
                *_f("VACITM1 VACITM2 VACITM3", length=5),
                *_f(" ".join(f"CCE{n}" for n in range(1, 21)), length=15),
            ),
            dim=300,
            grid="lines",
        ),
        Block("SIH4_3", (*_n("INVNOT INVATI", computed=True),)),
        Block(
            "SIHV_2",
            (*_f("XVTAX", length=5, computed=True), *_n("XVRAT XVNOT XVAMT", computed=True)),
            dim=10,
            grid="taxes",
        ),
        Block("SIHV_3", (*_f("CPYCUR", length=3, computed=True), *_n("RATMLT RATDIV AMTNOTL AMTATIL", computed=True))),
        TECHNICAL,
    ),
    {"SIH1_5": "SIH1_6", "SIH1_6": "SIH1_7"},
    {"BPR": "BPCINV", "FCY": "SALFCY", "ACCDAT": "INVDAT"},
)

BP_INVOICE = Screen(
    "BIC",
    "SINVOICE",
    ("NUM",),
    ("NUM", "SIVTYP", "BPR", "ACCDAT", "CUR", "AMTATI"),
    (
        Block(
            "BIC0_1",
            (
                *_f("FCY", length=5),
                *_f("SIVTYP", length=5),
                Field("INVTYP", INTEGER, menu=645, computed=True),
                *_f("NUM", length=20),
                *_f("BPR", length=15),
                *_f("BPRNAM", length=35, computed=True),
                *_f("ACCDAT", DATE),
                *_f("CUR", length=3),
            ),
        ),
        Block(
            "BIC1_1",
            (
                *_f("BPRVCR", length=30),
                *_f("BPRDAT", DATE),
                *_f("INVNUM", length=20),
                *_f("GTE JOU", length=5),
                *_f("VAC", length=5),
                Field("STA", INTEGER, menu=6001, computed=True),
            ),
        ),
        Block("BIC1_2", (*_f("PTE", length=15), *_f("ZPTE", computed=True), *_f("STRDUDDAT", DATE))),
        Block("BIC1_3", (Field("DES", CHAR, 30, size=5),)),
        Block(
            "BIC2_1",
            (
                *_f("ACC", length=12),
                *_f("DES", length=30),
                *_n("AMTNOTLIN"),
                *_f("VAT", length=5),
                *_n("AMTVAT", computed=True),
                *_f("CCE1 CCE2 CCE3", length=15),
            ),
            dim=300,
            grid="lines",
        ),
        Block("BIC3_1", (*_n("AMTNOT AMTATI", computed=True),)),
        Block(
            "BIC3_2",
            (*_f("TAX", length=5, computed=True), *_n("RATTAX BASTAX AMTTAX", computed=True)),
            dim=10,
            grid="taxes",
        ),
        Block("BIC3_3", (*_f("CPYCUR", length=3, computed=True), *_n("RATMLT RATDIV AMTNOTL AMTATIL", computed=True))),
        TECHNICAL,
    ),
    {"BIC1_1": "BIC1_4", "BIC2_1": "BIC2_2"},
)

PAYMENT = Screen(
    "PAY",
    "PAYMENTH",
    ("NUM",),
    ("NUM", "BPR", "ACCDAT", "CUR", "AMTCUR"),
    (
        Block("PAY0_1", (*_f("NUM", length=20), Field("STA2", INTEGER, menu=689, computed=True))),
        Block(
            "PAY1_1",
            (
                *_f("FCY", length=5),
                *_f("BPR", length=15),
                *_f("BPRSAC", length=12, computed=True),
                *_f("ACC", length=12),
                *_f("BPAINV", length=5),
                *_f("BPRNAM", length=35, computed=True),
            ),
        ),
        Block(
            "PAY1_2",
            (
                *_f("ACCDAT", DATE),
                *_f("REF", length=30),
                *_f("BAN", length=10),
                *_f("CUR", length=3),
                *_n("AMTCUR"),
                *_n("AMTBAN", computed=True),
                *_f("CHQNUM", length=20),
                *_f("DES", length=30),
            ),
        ),
        Block("PAY1_6", (*_n("TOTIMPUT RSTIMPUT", computed=True),)),
        Block(
            "PAY1_4",
            (
                *_f("DENCOD", length=5),
                *_f("VCRTYP", length=5),
                *_f("VCRNUM", length=20),
                *_f("FCYLIN", length=5),
                *_f("CURLIN", length=3),
                *_n("AMTLIN"),
                *_n("AMTLIN2", computed=True),
                *_f("VATLIN", length=5),
                *_f("CCE1 CCE2 CCE3", length=15),
            ),
            dim=50,
            grid="lines",
        ),
        Block("PAY4_3", (*_n("TOTLOC", computed=True), *_f("CPYCUR", length=3, computed=True))),
        TECHNICAL,
    ),
    {"PAY1_4": "PAY1_5", "PAY1_2": "PAY1_3"},
)

JOURNAL = Screen(
    "GAS",
    "GACCENTRY",
    ("TYP", "NUM"),
    ("TYP", "NUM", "FCY", "JOU", "ACCDAT"),
    (
        Block(
            "GAS0_1",
            (
                *_f("TYP", length=5),
                *_f("NUM", length=20),
                *_f("FCY JOU", length=5),
                *_f("ACCDAT", DATE),
                *_f("ACCNUM", INTEGER, computed=True),
            ),
        ),
        Block("GAS1_1", (*_f("CUR", length=3), *_f("DESVCR BPRVCR", length=30), *_f("REF", length=20, computed=True))),
        Block(
            "GAS2_1",
            (
                *_f("ACC", length=12),
                *_f("BPR", length=15),
                *_f("SNS", INTEGER),
                *_n("AMTCUR"),
                *_n("AMTLED", computed=True),
                *_f("DES", length=30),
                *_f("MTC", length=6, computed=True),
            ),
            dim=300,
            grid="lines",
        ),
        TECHNICAL,
    ),
    {"GAS2_1": "GAS3_1"},
)

SCREENS = {screen.object: screen for screen in (CUSTOMER, INVOICE, BP_INVOICE, PAYMENT, JOURNAL)}
