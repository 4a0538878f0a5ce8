"""The section of `tieout.toml` that connects to a stand-in, and what to type next: to be pasted as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from tieout.jsontext import encode

_QUICKBOOKS = """\
# in tieout.toml:
[connection.quickbooks]
kind = "quickbooks"
company_id = {realm}
client_id = {client_id}
client_secret = {{ env = "QBO_CLIENT_SECRET" }}
api_base = {base_url}
discovery_url = {discovery}

# then:
export QBO_CLIENT_SECRET={secret}
echo {token} | tieout connect quickbooks --token-stdin
"""
_SAGE_X3 = """\
# in tieout.toml:
[connection.x3]
kind = "sage-x3"
url = {endpoint}
user = {user}
password = {{ env = "X3_PASSWORD" }}
pool = {pool}
currency = {currency}
post_action = {post_action}
{settings}
# then:
export X3_PASSWORD={password}
tieout connect x3
"""
_FILE_ERP = """\
# in tieout.toml:
[connection.erp]
kind = "tabular"
folder = {export}
outbox = {outbox}
currency = "USD"
entity_code = "1000"
exports = [
{exports}
]
imports = {{ {imports} }}
"""
_GLOBS = {"customers": "customers_*", "sap-fbl5n-en": "fbl5n_*", "sap-fbl5n-de": "fbl5n_*"}
_IMPORTS = {"customer": "import-customers"} | dict.fromkeys(("invoice", "credit_memo", "payment"), "import-sap-posting")


def quickbooks(told: Mapping[str, str]) -> str:
    """told: what the stand-in says of itself, by name"""
    names = ("realm", "client_id", "base_url", "discovery")
    typed = {"secret": quote(told["client_secret"]), "token": quote(told["refresh_token"])}
    return _QUICKBOOKS.format(**{name: encode(told[name]) for name in names}, **typed)


def sage_x3(told: Mapping[str, str], *, currency: str, post_action: str, settings: str) -> str:
    """told: what the stand-in says of itself, by name · settings: the codes of its company, as TOML"""
    said = {name: encode(told[name]) for name in ("endpoint", "user", "pool")}
    said |= {"currency": encode(currency), "post_action": encode(post_action)}
    return _SAGE_X3.format(**said, settings=settings, password=quote(told["password"]))


def file_erp(folder: Path, layouts: tuple[str, ...]) -> str:
    exports = "\n".join(f'  {{ glob = "{_GLOBS[layout]}", profile = "{layout}" }},' for layout in layouts)
    imports = ", ".join(f'{kind} = "{profile}"' for kind, profile in _IMPORTS.items())
    places = {name: encode((folder / name).as_posix()) for name in ("export", "outbox")}
    return _FILE_ERP.format(**places, exports=exports, imports=imports)
