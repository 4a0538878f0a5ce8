"""A secret that somebody repeats is cut out in whatever form it comes; nothing else is."""

from __future__ import annotations

import base64
import html
import json
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieout.connectors import redact

SECRET = "kAnArY-app+secret/=&é\"'<>\\ word"
PACKED = base64.b64encode(f"user:{SECRET}".encode()).decode()


def wrapped(text: str) -> str:
    return "\r\n ".join(textwrap.wrap(text, 16, drop_whitespace=False))


def bytewise(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "over lines": wrapped,
    "in a header": lambda s: PACKED if s == SECRET else base64.b64encode(f"u:{s}".encode()).decode(),
    "in a header over lines": lambda s: wrapped(base64.b64encode(f"someone:{s}".encode()).decode()),
    "in base64 for addresses": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "in hexadecimal": lambda s: s.encode().hex(),
    "in an address": lambda s: quote(s, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "every byte of it": bytewise,
    "twice in an address": lambda s: quote(quote(s, safe=""), safe=""),
    "in JSON": json.dumps,
    "in JSON as it is": lambda s: json.dumps(s, ensure_ascii=False),
    "in JSON of PHP": lambda s: json.dumps(s).replace("/", "\\/"),
    "in JSON in JSON": lambda s: json.dumps({"body": json.dumps({"x": s})}),
    "in XML": escape,
    "in an attribute": quoteattr,
    "in XML in XML": lambda s: escape(escape(s)),
    "in XML of ASCII": lambda s: escape(s).encode("ascii", "xmlcharrefreplace").decode(),
    "in HTML": html.escape,
    "in HTML of numbers": lambda s: html.escape(s).replace("&#x27;", "&#39;"),
    "of Python": repr,
    "of Python as bytes": lambda s: repr(s.encode()),
    "as Latin-1": lambda s: s.encode().decode("latin-1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_cut_out_in_whatever_form_it_is_repeated(form: str) -> None:
    redact.leaving({"Authorization": f"Basic {PACKED}"}, None)
    said = f"Zugriff für «{FORMS[form](SECRET)}» nicht erlaubt"
    told = redact.redact(said, 3000)
    assert told.startswith("Zugriff für «")
    assert told.endswith("» nicht erlaubt")
    assert len(told) < len("Zugriff für «» nicht erlaubt") + 30, told
    for part in ("kAnArY", "secret", PACKED[8:16], SECRET.encode().hex()[8:20]):
        assert part not in told


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=8, max_size=30), st.sampled_from([*FORMS])
)
@example("%41%42%43%44", "in an address")
@example("&lt;&amp;&#65;", "in XML")
@example("\\n\\u0041\\\\x", "in JSON")
@example("++++++++", "in a form")
def test_any_secret_is(value: str, form: str) -> None:
    redact.secret(value)
    told = redact.masked(f"«{FORMS[form](value)}»")
    bare = redact._bared(value.encode())
    assert len(bare) < 8 or bare not in redact._bared(told.encode())


@given(st.text(max_size=60))
@example("a%2")
@example("&#x110000;%zz\\u12\ud800")
def test_what_holds_no_secret_is_told_as_it_is(text: str) -> None:
    redact.secret("kAnArY-a-secret-of-a-firm")
    assert redact.masked(text) == text
    around = f"{text} kAnArY-a-secret-%6ff-a-\nfirm {text}"
    assert redact.masked(around) == f"{text} … {text}"
