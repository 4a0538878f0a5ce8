"""What is not JSON: attachments, PDF, e-mail, invoice links."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import msgspec

from . import schema
from .encode import Doc, dumps, stamp
from .faults import Refused, business, gone

if TYPE_CHECKING:
    from .books import Books


def store(books: Books, realm: str, content_type: str, body: bytes, files: dict[str, bytes]) -> bytes:
    """`POST /upload`: each metadata part with its content part becomes an Attachable; faults stand per part."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    parts = _parts(body, boundary[1].encode() if boundary else b"")
    metadata = {n[len("file_metadata") :]: v for n, v in parts.items() if n.startswith("file_metadata")}
    answers = []
    for suffix, text in metadata.items():
        content = parts.get(f"file_content{suffix}", b"")
        answers.append(_attach(books, realm, text, content, files))
    return b'"AttachableResponse":' + dumps(answers)


def _attach(books: Books, realm: str, text: bytes, content: bytes, files: dict[str, bytes]) -> Doc:
    try:
        given = msgspec.json.decode(text)
        for ref in given.get("AttachableRef", ()):
            kind, id = ref.get("EntityRef", {}).get("type", ""), str(ref.get("EntityRef", {}).get("value", ""))
            spec = schema.find(kind)
            if spec is None or books.doc(spec.name, id) is None:
                raise business(f"The entity {kind} {id} that you are trying to link does not exist. {kind} {id}")
        made = books.apply("Attachable", "create", {**given, "Size": len(content)}, by="api")
    except Refused as refused:
        return {"Fault": refused.fault()}
    except msgspec.DecodeError as error:
        return {"Fault": Refused(2010, f"Property Name:{error} specified is unsupported or invalid").fault()}
    id = made["Id"]
    row = books.tables["Attachable"][id]
    files[id] = f"https://files.sandbox.invalid/{id}".encode()
    links = {"FileAccessUri": f"/v3/company/{realm}/download/{id}", "TempDownloadUri": files[id].decode()}
    row.doc, row.text = {**row.doc, **links}, None
    return {"Attachable": {**made, **links}}


def _parts(body: bytes, boundary: bytes) -> dict[str, bytes]:
    """Name → content of a multipart body, lenient about line ends and blank lines before the first boundary."""
    found: dict[str, bytes] = {}
    if not boundary:
        return found
    for chunk in body.split(b"--" + boundary):
        head, gap, content = _split(chunk.lstrip(b"\r\n"))
        name = re.search(rb'name="([^"]+)"', head)
        if gap and name:
            content = _chomp(content)
            encoded = re.search(rb"(?i)content-transfer-encoding:\s*base64", head)
            found[name[1].decode("latin-1")] = base64.b64decode(content) if encoded else content
    return found


def _chomp(content: bytes) -> bytes:
    """Without the one line end that belongs to the boundary after it."""
    return content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n")


def _split(chunk: bytes) -> tuple[bytes, bytes, bytes]:
    crlf = chunk.find(b"\r\n\r\n")
    lf = chunk.find(b"\n\n")
    if crlf >= 0 and (lf < 0 or crlf < lf):
        return chunk[:crlf], b"\r\n\r\n", chunk[crlf + 4 :]
    return chunk.partition(b"\n\n")


def send(books: Books, spec: schema.Entity, id: str, to: str) -> Doc:
    """`POST /invoice/ID/send`: marks the form as e-mailed. Raises Refused 6420 without an address."""
    with books.lock:
        row = books.row(spec.name, id)
        if row is None:
            raise gone()
        address = to or row.doc.get("BillEmail", {}).get("Address", "")
        if not address:
            raise Refused(6420, "Email address is required", element="BillEmail")
        done: dict[str, Any] = {
            **row.doc,
            "EmailStatus": "EmailSent",
            "BillEmail": {"Address": address},
            "DeliveryInfo": {"DeliveryType": "Email", "DeliveryTime": stamp(books.now())},
        }
        return books.store(spec.name, id, books.seal(id, done, row.doc), "update").doc


def pdf(doc: Doc) -> bytes:
    """A one-page PDF that names the form and its total."""
    text = f"{doc.get('DocNumber', doc['Id'])} {doc.get('TotalAmt', '')}"
    text = re.sub(r"[()\\]", "", text)
    stream = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode("latin-1", "replace")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for n, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (n, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(out),
    )


def with_link(doc: Doc) -> Doc:
    """The invoice with its payment link, where it is payable online and has an address."""
    online = doc.get("AllowOnlineCreditCardPayment") or doc.get("AllowOnlineACHPayment")
    if not online or "BillEmail" not in doc:
        return doc
    return {"InvoiceLink": f"https://pay.sandbox.invalid/invoice/{doc['Id']}", **doc}
