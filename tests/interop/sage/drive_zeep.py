"""The calls of standard input through zeep; answers as lines of status, message type, message, result."""

from __future__ import annotations

import os
import sys

import requests
import zeep

from tieout.sandbox.sage_x3.wsdl import ENCODING


class Offline(zeep.Transport):
    def load(self, url: str) -> bytes:
        return ENCODING.encode() if "schemas.xmlsoap.org/soap/encoding" in url else super().load(url)


def main() -> None:
    session = requests.Session()
    session.auth = (os.environ["X3_USER"], os.environ["X3_PASSWORD"])
    settings = zeep.Settings(xsd_ignore_sequence_order=True, xml_huge_tree=True, forbid_dtd=True)
    client = zeep.Client(os.environ["X3_WSDL"], transport=Offline(session=session, timeout=20), settings=settings)
    context = {"codeLang": "ENG", "poolAlias": os.environ["X3_POOL"]}
    for row in sys.stdin:
        operation, name, key, value, text, more = row.rstrip("\n").split("\t")
        keys = {"objectKeys": [{"key": key, "value": value}]}
        parts = {
            "run": {"inputXml": text},
            "save": {"objectXml": text},
            "read": keys,
            "delete": keys,
            "query": {**keys, "listSize": more or "0"},
            "modify": {**keys, "objectXml": text},
            "actionObject": {"actionCode": more, "objectXml": text},
            "actionObjectKeys": {"actionCode": text, **keys},
            "insertLines": {**keys, "blocKey": text, "lineKey": "1", "lineXml": more},
            "deleteLines": {**keys, "blocKey": text, "lineKeys": more.split(",")},
        }.get(operation, {})
        told = client.service[operation](callContext=context, publicName=name, **parts)
        last = told.messages[-1] if told.messages else {"type": "", "message": ""}
        print(told.status, last["type"], last["message"], told.resultXml or "", sep="\t", flush=True)


main()
