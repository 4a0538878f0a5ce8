"""QuickBooks' refusals: the codes with their texts, and every wire form they arrive in."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec


class Refused(Exception):
    """A business fault: HTTP 400 in a `Fault` envelope, or inside a batch item. `timed`: carries `time`."""

    def __init__(
        self,
        code: int,
        detail: str = "",
        *,
        element: str | None = None,
        message: str = "",
        kind: str = "ValidationFault",
        status: int = 400,
        timed: bool = True,
    ) -> None:
        self.code, self.element, self.kind, self.status, self.timed = code, element, kind, status, timed
        self.message = message or MESSAGES.get(code, "A business validation error has occurred")
        self.detail = detail
        super().__init__(f"{code} {self.message}: {detail}")

    def fault(self) -> dict[str, Any]:
        """The `Fault` object."""
        error: dict[str, Any] = {"Message": self.message, "Detail": self.detail, "code": str(self.code)}
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.kind}


MESSAGES = {
    500: "Unsupported Operation",
    600: "Duplicate Request ID",
    610: "Object Not Found",
    620: "Txn ID Cannot Be Linked",
    1040: "Batch size too large",
    2010: "Request has invalid or unsupported property",
    2020: "Required param missing, need to supply the required value for the API",
    2030: "Invalid ID",
    2040: "Invalid Number",
    2050: "String length is either shorter or longer than supported by specification",
    2060: "Invalid Date",
    2170: "Invalid Enumeration",
    2210: "Invalid Email Address format",
    2290: "Negative Amount",
    2300: "Total debits do not equal total credits",
    2500: "Invalid Reference Id",
    4000: "Error parsing query",
    4001: "Invalid query",
    5010: "Stale Object Error",
    5020: "Permission Denied Error",
    5030: "Feature Not Supported Error",
    6000: "A business validation error has occurred while processing your request",
    6010: "Account type or subtype is required",
    6070: "Amount calculation incorrect in the request",
    6080: "Required name is missing",
    6100: "Invalid tax code",
    6140: "Duplicate Document Number Error",
    6160: "Invalid tax rate",
    6170: "Invalid tax detail",
    6180: "Sub-level limit reached",
    6190: "Invalid Company Status",
    6200: "Account Period Closed, Cannot Update Through Services API",
    6210: "Account Period Closed, Cannot Update Through Services API",
    6220: "Delete Entity Has Balance Error",
    6240: "Duplicate Name Exists Error",
    6250: "InvalidSalesCustomer",
    6420: "Email address is required",
    6430: "Invalid account type used",
    6440: "Transaction Detail Information Required",
    6450: "Attempt to Void Transaction failed",
    6480: "Matched Transaction Delete Error",
    6540: "Deposited Transaction cannot be changed",
    10000: "An application error has occurred while processing your request",
}
INACTIVE = (
    "Object Not Found : Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)
DELETED = "Object Not Found : Another user has deleted this transaction."


def gone(detail: str = INACTIVE) -> Refused:
    return Refused(610, detail, element="")


def stale(user: str = "Casey Quill") -> Refused:
    return Refused(
        5010,
        f"Stale Object Error : You and {user} were working on this at the same time. "
        f"{user} finished before you did, so your work was not saved.",
        element="",
    )


def missing(parameter: str) -> Refused:
    return Refused(2020, f"Required parameter {parameter} is missing in the request", element=parameter)


def too_long(element: str, limit: int, length: int) -> Refused:
    return Refused(
        2050,
        "String length specified does not match the supported length. "
        f"Min:0 Max:{limit} supported. Supplied length:{length}",
        element=element,
    )


def business(detail: str) -> Refused:
    return Refused(6000, f"Business Validation Error: {detail}", element="")


def unknown_property(name: str, entity: str, known: tuple[str, ...]) -> Refused:
    listed = ", ".join(f'"{k}"' for k in known)
    listed = listed if len(listed) < 1000 else listed[:1000].rsplit(",", 1)[0] + " [truncated]"
    return Refused(
        2010,
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), '
        f"not marked as ignorable ({len(known)} known properties: {listed}])\n"
        " specified is unsupported or invalid",
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """A ready HTTP answer. `headers` are added to the usual ones."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def gateway(
    status: int, code: int, name: str, detail: str | None, *, kind: str, at_ms: int, challenge: bool = False
) -> Answer:
    """The gateway's own lower-case fault: 401 code 3200, 403 code 3100, some 429s."""
    body: dict[str, Any] = {
        "warnings": None,
        "intuitObject": None,
        "fault": {
            "error": [
                {
                    "message": f"message={name}; errorCode={code:06d}; statusCode={status}",
                    "detail": detail,
                    "code": str(code),
                    "element": None,
                }
            ],
            "type": kind,
        },
        "report": None,
        "queryResponse": None,
        "batchItemResponse": [],
        "attachableResponse": [],
        "syncErrorResponse": None,
        "requestId": None,
        "time": at_ms,
        "status": None,
        "cdcresponse": [],
    }
    headers = (("WWW-Authenticate", 'Bearer realm="Intuit", error="invalid_token"'),) if challenge else ()
    return Answer(status, msgspec.json.encode(body), headers=headers)


def xml_fault(status: int, code: int, name: str, detail: str, at: str) -> Answer:
    """The gateway's XML fault, sent even though JSON was asked for."""
    text = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<IntuitResponse time="{at}" xmlns="http://schema.intuit.com/finance/v3">'
        f'<Fault type="SERVICE"><Error code="{code}">'
        f"<Message>message={name}; errorCode={code:06d}; statusCode={status}</Message>"
        f"<Detail>{escape(detail)}</Detail></Error></Fault></IntuitResponse>"
    )
    return Answer(status, text.encode(), "application/xml")


def html(status: int, title: str) -> Answer:
    text = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, text.encode(), "text/html")


LIMIT = "The request limit was reached.  Try again later"


def throttled(form: str, retry_after: str, at: str, at_ms: int) -> Answer:
    """HTTP 429 in the form the `throttle_format` switch names (`html-503`: the proxy's page)."""
    if form == "xml-429":
        answer = xml_fault(429, 3001, "ThrottleExceeded", LIMIT, at)
    elif form == "lower-json-429":
        answer = gateway(429, 3001, "ThrottleExceeded", LIMIT, kind="SERVICE", at_ms=at_ms)
    elif form == "html-503":
        answer = html(503, "Service Temporarily Unavailable")
    else:
        message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
        refused = Refused(3001, LIMIT, message=message, kind="SERVICE")
        answer = Answer(429, msgspec.json.encode({"Fault": refused.fault()}))
    if retry_after == "none":
        return answer
    return Answer(answer.status, answer.body, answer.content_type, (("Retry-After", retry_after),))
