"""The contract by name: namespace, paths, the twelve operations with their parts, the types. No text of anybody's."""

from __future__ import annotations

from dataclasses import dataclass

WSS = "http://www.adonix.com/WSS"
SOAPENV = "http://schemas.xmlsoap.org/soap/envelope/"
SOAPENC = "http://schemas.xmlsoap.org/soap/encoding/"
XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
SERVICE = "CAdxWebServiceXmlCC"
WSDL_PATH = f"/soap-wsdl/syracuse/collaboration/syracuse/{SERVICE}"
CALL_PATH = f"/soap-generic/syracuse/collaboration/syracuse/{SERVICE}"
OLD_PATH = f"/adxwsvc/services/{SERVICE}"

STRING, INT, DOUBLE, BOOLEAN = "xsd:string", "xsd:int", "xsd:double", "xsd:boolean"
CONTEXT, KEYS, STRINGS = "wss:CAdxCallContext", "wss:ArrayOfCAdxParamKeyValue", "wss:ArrayOf_xsd_string"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its parts after callContext and publicName, in order, each (name, type)."""

    name: str
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def all_parts(self) -> tuple[tuple[str, str], ...]:
        return (("callContext", CONTEXT), ("publicName", STRING), *self.parts)


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("run", (("inputXml", STRING),)),
        Operation("save", (("objectXml", STRING),)),
        Operation("delete", (("objectKeys", KEYS),)),
        Operation("read", (("objectKeys", KEYS),)),
        Operation("query", (("objectKeys", KEYS), ("listSize", INT))),
        Operation("getDescription"),
        Operation("modify", (("objectKeys", KEYS), ("objectXml", STRING))),
        Operation("actionObject", (("actionCode", STRING), ("objectXml", STRING))),
        Operation("actionObjectKeys", (("actionCode", STRING), ("objectKeys", KEYS))),
        Operation("getDataXmlSchema"),
        Operation(
            "insertLines",
            (("objectKeys", KEYS), ("blocKey", STRING), ("lineKey", STRING), ("lineXml", STRING)),
        ),
        Operation("deleteLines", (("objectKeys", KEYS), ("blocKey", STRING), ("lineKeys", STRINGS))),
    )
}
WRITES = frozenset(
    ("run", "save", "delete", "modify", "actionObject", "actionObjectKeys", "insertLines", "deleteLines")
)

# Members in the order of the types' sequences: (name, type, may be nil).
STRUCTURES: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "CAdxCallContext": tuple(
        (name, STRING, True) for name in ("codeLang", "codeUser", "password", "poolAlias", "poolId", "requestConfig")
    ),
    "CAdxMessage": (("message", STRING, True), ("type", STRING, True)),
    "CAdxTechnicalInfos": (
        ("busy", BOOLEAN, False),
        ("changeLanguage", BOOLEAN, False),
        ("changeUserId", BOOLEAN, False),
        ("flushAdx", BOOLEAN, False),
        ("loadWebsDuration", DOUBLE, False),
        ("nbDistributionCycle", INT, False),
        ("poolDistribDuration", DOUBLE, False),
        ("poolEntryIdx", INT, False),
        ("poolExecDuration", DOUBLE, False),
        ("poolRequestDuration", DOUBLE, False),
        ("poolWaitDuration", DOUBLE, False),
        ("processReport", STRING, True),
        ("processReportSize", INT, False),
        ("reloadWebs", BOOLEAN, False),
        ("resumitAfterDBOpen", BOOLEAN, False),
        ("rowInDistribStack", INT, False),
        ("totalDuration", DOUBLE, False),
        ("traceRequest", STRING, True),
        ("traceRequestSize", INT, False),
    ),
    "CAdxResultXml": (
        ("messages", "wss:ArrayOfCAdxMessage", True),
        ("resultXml", STRING, True),
        ("status", INT, False),
        ("technicalInfos", "wss:CAdxTechnicalInfos", True),
    ),
    "CAdxParamKeyValue": (("key", STRING, True), ("value", STRING, True)),
}
ARRAYS = {
    "ArrayOfCAdxMessage": "wss:CAdxMessage[]",
    "ArrayOfCAdxParamKeyValue": "wss:CAdxParamKeyValue[]",
    "ArrayOf_xsd_string": "xsd:string[]",
}
