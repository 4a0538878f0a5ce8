"""What tieout.toml may say: one frozen model per table, its field descriptions being the reference documentation.

Nothing below this layer reads settings: connectors and the engine get plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tieout.errors import ConfigError
from tieout.model import Entity, Money
from tieout.sync.core.facts import COMPARED

ENTITIES = tuple(e.value for e in Entity)
OWNERS = ("origin", "left", "right", "two_way", "compare", "ignore")
UNATTENDED = ("credit_memo", "adjustment", *(f"{e}.void" for e in ENTITIES if e != "customer"))
CODES = ("items", "taxes", "accounts", "terms", "methods", "entities")
# Fields that two masters may share: free text that moves no money, date, customer or tax.
TWO_WAY: Mapping[str, frozenset[str]] = {
    "customer": frozenset({"name", "email", "phone", "terms"}),
    "invoice": frozenset({"memo", "po_number"}),
    "credit_memo": frozenset({"memo"}),
    "payment": frozenset({"memo", "reference", "method"}),
    "adjustment": frozenset(),
}


def policy_fields(entity: str) -> tuple[str, ...]:
    """The fields of an entity that a policy may name: those the sync compares."""
    return COMPARED[Entity(entity)]


def _exact(value: object) -> object:
    if isinstance(value, bool | float):
        raise ValueError("should be a number")  # noqa: TRY004  pydantic reads ValueError
    if isinstance(value, str | int):
        try:
            return Decimal(value)
        except InvalidOperation:
            raise ValueError('should be an amount such as "1000.00"') from None
    return value


def _percent(value: Decimal) -> Decimal:
    if not 0 <= value <= 100:
        raise ValueError("should be a percentage between 0 and 100")
    return value


def _path(value: object) -> object:
    if isinstance(value, Path) or (isinstance(value, str) and value.strip()):
        return Path(value)
    raise ValueError("should be a path in quotes")


def _currency(value: str) -> str:
    if len(value) != 3 or not value.isascii() or not value.isupper():
        raise ValueError('should be a currency code of ISO 4217 such as "USD"')
    return value


def _url(value: str) -> str:
    """An https address anywhere, http on loopback only: credentials travel over it."""
    if plain_http(value):
        raise ValueError("should be an https:// address (http:// on this machine only)")
    return value


def _site_url(value: str) -> str:
    """An https address, or an http one, which `load` takes on this machine and on the premises only."""
    return value if value.startswith("http://") and value.removeprefix("http://") else _url(value)


def plain_http(value: str) -> bool:
    """Whether an address is none, or http to another machine than this one."""
    from urllib.parse import urlsplit  # noqa: PLC0415  only for connections that have one

    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return True
    here = host in {"localhost", "127.0.0.1", "::1"}
    return not host or not (parts.scheme == "https" or (parts.scheme == "http" and here))


def checked_state_url(value: str) -> str:
    """The address of a state database. Raises ValueError for one that is none, or that keeps nothing."""
    if not value.startswith(("sqlite:///", "postgresql://", "postgresql+")):
        raise ValueError("should begin with sqlite:/// (three slashes, then the file) or postgresql://")
    if value.startswith("sqlite:") and value.removeprefix("sqlite:///") in {"", ":memory:"}:
        raise ValueError("should name a file: what is kept in memory is gone after the run")
    return value


def sqlite_from(folder: Path, url: str) -> str:
    """The address of a SQLite file that starts at a folder, in the name of which % and ? are what they are."""
    name = url.removeprefix("sqlite:///")
    if name.startswith("/"):
        return url
    escaped = str(folder).rstrip("/").replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{escaped}/{name}"


Amount = Annotated[Money, BeforeValidator(_exact)]
Percent = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_percent)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Currency = Annotated[str, AfterValidator(_currency)]
Url = Annotated[str, AfterValidator(_url)]
SiteUrl = Annotated[str, AfterValidator(_site_url)]
Count = Annotated[int, Field(ge=0)]
Flow = Literal["both", "left_to_right", "right_to_left", "none"]


class Table(BaseModel):
    """One table of tieout.toml. Unknown keys are refused, and text is never read as a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class SecretRef(Table):
    """Where a secret is found; never the secret. Exactly one of the three is set."""

    env: str | None = Field(default=None, min_length=1, description="the name of an environment variable")
    command: tuple[str, ...] | None = Field(
        default=None, strict=False, min_length=1, description="a command that prints the secret; run without a shell"
    )
    keyring: str | None = Field(default=None, min_length=1, description="`service/name` in the keyring of the system")

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        return f"command {self.command[0]}" if self.command else f"keyring entry {self.keyring}"


class CompanySettings(Table):
    name: str = Field(min_length=1, description="the company whose books these are")
    was: str | None = Field(
        default=None,
        min_length=1,
        description="the name before, where it was changed: what was kept under it (sign-ins, the signing key, whose "
        "books a file ERP's are) is used on",
    )


class StateSettings(Table):
    url: Annotated[str, AfterValidator(checked_state_url)] | SecretRef = Field(
        default="sqlite:///tieout.db",
        description="where links, plans and evidence are kept: `sqlite:///FILE` (relative to tieout.toml) or "
        "`postgresql://HOST/DATABASE`; one that holds a password is given by reference",
    )


class SecretsSettings(Table):
    store: Literal["auto", "keyring", "file"] = Field(
        default="auto",
        description="where `tieout connect` keeps sign-ins: the keyring of the system if there is one, else a file",
    )
    folder: FilePath = Field(
        default=Path(".tieout"), description="the folder of the encrypted file, readable by its owner only"
    )
    key_file: FilePath | None = Field(
        default=None, description="its key; without one, TIEOUT_SECRET_KEY, else a key made in `folder`"
    )


class EvidenceSettings(Table):
    anchors: tuple[FilePath, ...] = Field(
        default=(Path("evidence/anchors.jsonl"),),
        strict=False,
        min_length=1,
        description="the files of anchors: signed lines that say where the audit log stood. Put one where the "
        "administrator of the state database cannot write, and where its backups do not reach",
    )
    log: bool = Field(
        default=False, description="print each anchor as a line on stderr too, for the log of the system to keep"
    )


class QuickBooksSettings(Table):
    company_id: str = Field(
        pattern=r"^[0-9]{1,32}$", description="the company's realm id; a sign-in to another company is refused"
    )
    company_name: str | None = Field(
        default=None, min_length=1, description="the company's name there; where given, another name is refused too"
    )
    environment: Literal["production", "sandbox"] = Field(
        default="production", description="Intuit's live or test system"
    )
    client_id: str | SecretRef = Field(description="the client id of your app at developer.intuit.com")
    client_secret: SecretRef = Field(description="its client secret, by reference")
    redirect_uri: Url | None = Field(
        default=None, description="the redirect registered for the app; default `http://localhost:8765/callback`"
    )
    api_base: Url | None = Field(default=None, description="another API address, for a stand-in")
    discovery_url: Url | None = Field(default=None, description="another OpenID discovery document, for a stand-in")
    token_url: Url | None = Field(default=None, description="another token address, for a stand-in")
    requests_per_minute: int | None = Field(
        default=None, ge=1, le=500, description="a lower pace than Intuit's limit of 500"
    )


class ExportSettings(Table):
    glob: str = Field(min_length=1, description="which files in `folder`, such as `invoices-*.csv`")
    profile: str = Field(min_length=1, description="a shipped profile (`tieout profile list`) or the path of your own")
    entity: str | None = Field(
        default=None, description=f"what its rows are, where the profile leaves it open: {', '.join(ENTITIES)}"
    )
    entity_code: str | None = Field(
        default=None, min_length=1, description="the legal entity that all its rows belong to"
    )
    scope: Literal["all", "open", "period"] | None = Field(
        default=None,
        description="`all` documents, `open` ones only, or those of one `period`; default: as the profile says",
    )


class TabularSettings(Table):
    folder: FilePath = Field(description="where the ERP drops its exports; tieout only reads there")
    outbox: FilePath | None = Field(
        default=None, description="where tieout leaves import files; without one nothing is written"
    )
    company: str | dict[str, str] | None = Field(
        default=None,
        description='the company as the ERP names it, or `{ id = "…", name = "…" }`: with an id, exports '
        "that say another are refused; default [company] name",
    )
    currency: Currency = Field(description="home currency")
    entity_code: str | None = Field(
        default=None, min_length=1, description="the legal entity of records that name none"
    )
    closed_through: date | None = Field(default=None, description="the last closed day of the ERP's books, inclusive")
    time_zone: str | None = Field(default=None, min_length=1, description="of the ERP, such as `Europe/Berlin`")
    settle_seconds: Count = Field(
        default=60, description="rest after which a file without a manifest counts as finished"
    )
    exports: tuple[ExportSettings, ...] = Field(default=(), strict=False, min_length=1, description="the files to read")
    imports: dict[str, str | Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default_factory=dict,
        strict=False,
        description="per entity, the profile of the file tieout writes, or a list of profiles for different "
        "operations; an entity without one is read-only, an operation that none takes stays a person's work",
    )


X3_SERVICES = ("BPC", "SIH", "BIC", "PAY", "GAS", "open_items", "changes", "export", "batch")
X3_EXPORTS = ("BPC", "SIH", "BIC", "PAY", "DUD")
X3_ATTRIBUTES = ("application", "unapplied", "discount", "write_off", "withholding", "deduction")


def _x3_services(value: dict[str, str]) -> dict[str, str]:
    if wrong := sorted(set(value) - set(X3_SERVICES)):
        raise ValueError(f"{wrong[0]!r} is not one of {', '.join(X3_SERVICES)}{suggestion(wrong[0], X3_SERVICES)}")
    if not set(value) & {"BPC", "SIH", "BIC", "PAY"}:
        raise ValueError("should name the published object of at least one of BPC, SIH, BIC and PAY")
    return value


def _x3_exports(value: dict[str, Any]) -> dict[str, Any]:
    if wrong := sorted(set(value) - set(X3_EXPORTS)):
        raise ValueError(f"{wrong[0]!r} is not one of {', '.join(X3_EXPORTS)}{suggestion(wrong[0], X3_EXPORTS)}")
    return value


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in value:
        try:
            re.compile(pattern)
        except re.error as why:
            raise ValueError(f"{pattern!r} is not a regular expression: {why}") from None
    return value


def _x3_attributes(value: dict[str, str]) -> dict[str, str]:
    for code, meaning in value.items():
        if meaning not in X3_ATTRIBUTES:
            known = ", ".join(X3_ATTRIBUTES)
            raise ValueError(f"{code}: {meaning!r} is not one of {known}{suggestion(meaning, X3_ATTRIBUTES)}")
    return value


def _known_customer(value: dict[str, str]) -> dict[str, str]:
    if set(value) != {"code", "name"}:
        raise ValueError('should be { code = "…", name = "…" }')
    return value


class X3ExportSettings(Table):
    template: str = Field(min_length=1, description="the code of the export template")
    mark: str = Field(min_length=1, description="the indicator of the record that begins an object")
    key: int = Field(ge=1, description="where that record holds the key, counted from 1 behind the indicator")
    changed: int = Field(ge=1, description="where it holds the time of the last change, as YYYYMMDD or YYYYMMDDHHMMSS")
    type: int | None = Field(default=None, ge=1, description="for open items: where it holds the entry type (TYP)")
    field: str = Field(default="UPDDATTIM", min_length=1, description="the column that the criterion compares")


class SageX3Settings(Table):
    url: SiteUrl = Field(
        description="the address of the web service, usually "
        "`https://HOST:8124/soap-generic/syracuse/collaboration/syracuse/CAdxWebServiceXmlCC`"
    )
    on_premises: bool = Field(
        default=False,
        description="whether the host is in your own network: private addresses are spoken to only then, and `http://` "
        "to them is taken",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="a file of certificates (PEM) that vouch for the host, such as your firm's own, in the place of "
        "the public ones; that they are checked cannot be switched off",
    )
    user: str = Field(min_length=1, description="the Syracuse user of the web services")
    password: SecretRef = Field(description="his password, by reference")
    pool: str = Field(min_length=1, description="the alias of the connection pool; upper and lower case matter")
    language: str = Field(default="ENG", pattern=r"^[A-Z]{3}$", description="X3's code of the language of messages")
    width: int = Field(default=2, ge=1, le=30, description="calls at once; no more than the pool has entries")
    timeout_seconds: int = Field(default=120, ge=5, description="how long one answer may take")
    list_limit: int = Field(
        default=200_000, ge=1, description="lines asked of a left list; one that is as long is not taken as whole"
    )
    temporary: Annotated[tuple[str, ...], AfterValidator(_patterns)] = Field(
        default=(),
        strict=False,
        description="regular expressions for messages with which your X3 refuses for the moment and has done nothing, "
        "such as a record that somebody else has open; what they fit is tried again, the rest is refused for good",
    )
    company: str = Field(min_length=1, description="the company's code in X3, such as `HLS`")
    known_customer: Annotated[dict[str, str], AfterValidator(_known_customer)] | None = Field(
        default=None,
        description='a customer by whom the company is known, `{ code = "…", name = "…" }`: another name there is '
        "refused as another company's books. X3 does not name itself to web services, so set it",
    )
    currency: Currency = Field(description="the company's currency")
    closed_through: date | None = Field(default=None, description="the last closed day of the books, inclusive")
    time_zone: str | None = Field(default=None, min_length=1, description="of the host, such as `Europe/Paris`")
    services: Annotated[dict[str, str], AfterValidator(_x3_services)] = Field(
        description="the public name (GESAWE) of each service: the objects `BPC`, `SIH`, `BIC`, `PAY`, `GAS`, and the "
        "sub-programs `open_items`, `changes`, `export` (AOWSEXPORT) and `batch` (AOWSBATGET); see docs/howto/sage.md"
    )
    strategy: Literal["key_sweep", "subprogram", "export_template"] = Field(
        default="key_sweep",
        description="how changes are found: every object is read, or those that the sub-program `changes` names, or "
        "those that exports by template name",
    )
    exports: Annotated[dict[str, X3ExportSettings], AfterValidator(_x3_exports)] = Field(
        default_factory=dict, description=f"the export templates for `export_template`, of {', '.join(X3_EXPORTS)}"
    )
    export_mode: str = Field(
        default="REALTIME", min_length=1, description="I_EXEC: `REALTIME`, or what makes a batch request of an export"
    )
    export_dates: Literal["yyyymmdd", "dd/mm/yyyy"] = Field(
        default="yyyymmdd", description="how your X3 reads a date in a criterion, `[20260131]` or `[31/01/2026]`"
    )
    export_wait_seconds: Count = Field(default=900, description="how long a batch request may take")
    overlap_seconds: Count = Field(
        default=900, description="how far before the last change seen exports look again, for commits that came late"
    )
    site: str = Field(default="", description="the site (FCY) where documents of ours are entered")
    sites: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="the sites whose documents belong to this connection, beside `site`; with neither, all of the "
        "folder's. Customers belong to every site",
    )
    customer_category: str = Field(default="", description="BCGCOD of customers that are created")
    tax_rule: str = Field(default="", description="VACBPR of customers that are created")
    terms: str = Field(default="", description="PTE of customers that come without terms")
    due_term: str | None = Field(
        default=None,
        min_length=1,
        description="a payment term without days: with it, invoices keep their own due date; without, terms decide",
    )
    invoice_type: str = Field(default="", description="SIVTYP of invoices of ours")
    credit_type: str = Field(default="", description="SIVTYP of credit memos of ours")
    invoice_types: dict[str, str] = Field(
        default_factory=dict,
        description="SIVTYP → INVTYP (`1` invoice, `2` credit memo …), where INVTYP is not published",
    )
    enter_as: Literal["SIH", "BIC"] = Field(
        default="SIH", description="documents of ours are sales invoices on items, or customer invoices on accounts"
    )
    revenue_accounts: dict[str, str] = Field(
        default_factory=dict,
        description='of `BIC`: item (`""` for none) → account (ACC) of a line that states none',
    )
    post_action: str | None = Field(
        default=None, min_length=1, description="the button that validates a document; without it, it stays entered"
    )
    bank: str = Field(default="", description="BAN of payments that name none")
    applied_as: str = Field(default="", description="DENCOD of a payment's line that settles a document")
    attributes: Annotated[dict[str, str], AfterValidator(_x3_attributes)] = Field(
        default_factory=dict, description=f"what each DENCOD means: {', '.join(X3_ATTRIBUTES)}"
    )
    cancelled: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="values of STA2 that stand for payments taken back; required where PAY is published",
    )
    payment_entries: tuple[str, ...] = Field(
        default=("PAY",), strict=False, min_length=1, description="entry types (TYP) of payments among open items"
    )
    invoice_entries: tuple[str, ...] = Field(
        default=(), strict=False, description="entry types (TYP) of invoices in journals; default `invoice_type`"
    )


class MemorySettings(Table):
    """Books held in memory, for trials and tests; its keys are handed over as they are."""

    model_config = ConfigDict(extra="allow")


class LimitSettings(Table):
    """What one plan may do unasked. Above a limit the operations wait for a person, who lifts the guard by name."""

    creates: Count = Field(default=50, description="records made on the other side (guard `mass_create`)")
    creates_percent: Percent = Field(
        default=Decimal(10), description="… or this share of the records already linked, if that is more"
    )
    voids: Count = Field(default=3, description="documents voided (guard `mass_void`)")
    voids_percent: Percent = Field(
        default=Decimal(1), description="… or this share of the linked records, if that is more"
    )
    same_field: Count = Field(default=10, description="records in which the same field changes (guard `mass_change`)")
    same_field_percent: Percent = Field(
        default=Decimal(20), description="… or this share of the linked records of the kind, if that is more"
    )
    money: dict[Currency, Amount] = Field(
        default_factory=dict, description="the sum of amounts that one plan may write, per currency (guard `money_cap`)"
    )


class RoundingSettings(Table):
    """Below both limits a difference is called rounding; it stays listed. In document currency, both inclusive."""

    per_document: Amount = Field(description="the largest difference in one document that is rounding")
    total: Amount = Field(description="the largest sum of them all")


class CheckSettings(Table):
    """What to look for beyond what is wrong in any two ledgers. Most ledgers have it without anything being wrong."""

    unique_numbers: tuple[Literal["left", "right"], ...] = Field(
        default=(),
        strict=False,
        description="sides on which no two invoices or credit memos may have one number (`INVARIANT_BROKEN`, I11; "
        "`NUMBER_REUSED` where all but one are voided)",
    )
    gapless_numbers: tuple[Literal["left", "right"], ...] = Field(
        default=(), strict=False, description="sides whose series of numbers may have no gap (`SEQUENCE_GAP`)"
    )
    negative_balances: bool = Field(
        default=False, description="name customers whose balance is a credit (`NEGATIVE_BALANCE`)"
    )
    unused_credit_days: int | None = Field(
        default=None, ge=0, description="name money and credit that nobody used for so many days (`CREDIT_UNUSED`)"
    )
    stale_after_days: Annotated[int, Field(ge=1)] | Literal["never"] = Field(
        default=8,
        description="how old the newest dated export of a side may be (`STALE_SNAPSHOT`); `never` for files that are "
        "not meant to be renewed",
    )
    aged_after_days: Annotated[int, Field(ge=1)] | Literal["never"] = Field(
        default=30,
        description="how long a difference of money may stand before it is marked as old (`AGED_RECON_ITEM` beside its "
        "code)",
    )


class ReportSettings(Table):
    as_of: date | None = Field(
        default=None, description="the day both books are compared for, inclusive; default: everything counts"
    )


class PairTable(Table):
    left: str = Field(min_length=1, description="a connection; A in discrepancy codes")
    right: str = Field(min_length=1, description="a connection; B in discrepancy codes")
    mode: Literal["observe", "link", "propose", "auto"] = Field(
        default="propose",
        description="`observe` reports only; `link` also remembers matches; `propose` plans and waits for approval; "
        "`auto` writes within the limits",
    )
    cutover: date | None = Field(
        default=None, description="documents dated before it are never created on the other side"
    )
    linked_owner: Literal["left", "right", "none"] = Field(
        default="none",
        description="who owns documents that both books already held; `none`: differences are only reported",
    )
    stated_settlements: Literal["compare", "create"] = Field(
        default="compare",
        description="what becomes of a settlement that a source only dates (a `settled_on` column), without showing "
        "the payment: `compare` lists where the other book disagrees; `create` makes a payment of method `other` there",
    )
    acknowledged_within_days: int = Field(
        default=5,
        ge=1,
        le=366,
        description="days in which an export shows what was handed over in a file, from the hand-over on; after them "
        "a person is asked to look (`no_acknowledgement`). An import that runs once a week needs more than 7",
    )
    was: str | None = Field(
        default=None,
        description="the name that this pair had before: what the state knows under it is taken over, unsettled writes "
        "included",
    )
    unattended: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="what mode `auto` may write without a person beyond customers, invoices and payments: "
        "`credit_memo`, or `ENTITY.void`, such as `invoice.void`. `adjustment` may be named and changes nothing: "
        "adjustments are compared and listed, never written",
    )


class PairSettings(PairTable):
    """One pair with everything below it; plain data for the engine. `name` is the table's."""

    name: str
    flows: Mapping[str, Flow]
    policy: Mapping[tuple[str, str], str]
    codes: Mapping[str, Mapping[str, str] | None]
    limits: LimitSettings
    rounding: RoundingSettings | None
    checks: CheckSettings
    as_of: date | None


class ConnectionSettings(Table):
    """One connection: its kind and the options of that kind, secrets still as references."""

    name: str
    kind: str
    options: Mapping[str, Any]


KINDS: Mapping[str, type[Table]] = {
    "quickbooks": QuickBooksSettings,
    "tabular": TabularSettings,
    "sage-x3": SageX3Settings,
    "memory": MemorySettings,
}


class Settings(Table):
    """A whole tieout.toml. `path` is the file; relative paths in it were resolved against its folder."""

    path: Path
    company: CompanySettings
    state: StateSettings
    secrets: SecretsSettings
    evidence: EvidenceSettings
    connections: Mapping[str, ConnectionSettings]
    pairs: Mapping[str, PairSettings]

    @property
    def secret_variables(self) -> frozenset[str]:
        """The environment variables that this configuration names as secrets."""
        options = [value for c in self.connections.values() for value in c.options.values()]
        return frozenset(v.env for v in (self.state.url, *options) if isinstance(v, SecretRef) and v.env)

    def connection(self, name: str) -> ConnectionSettings:
        """The connection of that name. Raises ConfigError with the nearest names."""
        if name not in self.connections and name in self.pairs:
            pair = self.pairs[name]
            raise ConfigError(
                f"{name!r} is a pair of {self.path.name}, not a connection",
                hint=f"name one of its connections: {pair.left}, {pair.right}; a report of both takes --pair {name}",
            )
        if name not in self.connections:
            raise _unknown("connection", name, self.connections, self.path)
        return self.connections[name]

    def pair(self, name: str) -> PairSettings:
        """The pair of that name. Raises ConfigError with the nearest names."""
        if name not in self.pairs:
            raise _unknown("pair", name, self.pairs, self.path)
        return self.pairs[name]


def suggestion(word: str, known: Mapping[str, Any] | tuple[str, ...] | list[str]) -> str:
    """` (did you mean …?)`, or nothing where no known word is near."""
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""


def nearest(word: str, known: Mapping[str, Any] | tuple[str, ...] | list[str]) -> str | None:
    """What was meant by a word that is not known, if any known one is near."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def _unknown(what: str, name: str, known: Mapping[str, Any], path: Path) -> ConfigError:
    names = ", ".join(known) or "none"
    return ConfigError(f"{path.name} has no {what} {name!r}{suggestion(name, known)}", hint=f"{what}s there: {names}")
