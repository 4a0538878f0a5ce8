"""getDescription and getDataXmlSchema: what a service takes and gives. Their form is this sandbox's own.

No answer of a real X3 has been seen; a connector may look here for action codes and blocks, and must not depend on it.
"""

from __future__ import annotations

from . import subprograms
from .payload import result
from .publications import Publication
from .switches import Switches
from .xml import attribute


def described(publication: Publication, switches: Switches, actions: tuple[str, ...]) -> str:
    """Groups and fields as published, and the codes of the object's buttons under ADXSER."""
    out = []
    for id, dim, fields in _blocks(publication, switches):
        out.append(f'<GRP DIM="{dim}" ID="{id}">')
        out += [f'<FLD NAME="{name}" TYPE="{kind}"/>' for name, kind in fields]
        out.append("</GRP>")
    if actions:
        out.append("<ADXSER>")
        out += [f'<ACTION CODE="{attribute(code)}"/>' for code in actions]
        out.append("</ADXSER>")
    return result(out, f' NAME="{attribute(publication.name)}" OBJECT="{publication.target}"')


def schema(publication: Publication, switches: Switches) -> str:
    """An XML schema that lists the blocks by id."""
    names = "".join(f'<xsd:enumeration value="{id}"/>' for id, _, _ in _blocks(publication, switches))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
        '<xsd:element name="PARAM"><xsd:complexType><xsd:choice maxOccurs="unbounded">'
        '<xsd:element name="GRP" type="BLOCK"/><xsd:element name="TAB" type="BLOCK"/>'
        "</xsd:choice></xsd:complexType></xsd:element>"
        '<xsd:complexType name="BLOCK"><xsd:sequence><xsd:any processContents="skip" maxOccurs="unbounded"/>'
        '</xsd:sequence><xsd:attribute name="ID"><xsd:simpleType><xsd:restriction base="xsd:string">'
        f"{names}</xsd:restriction></xsd:simpleType></xsd:attribute></xsd:complexType></xsd:schema>"
    )


def _blocks(publication: Publication, switches: Switches) -> list[tuple[str, int, list[tuple[str, str]]]]:
    if publication.kind == "subprogram":
        return subprograms.signature(publication.target)
    screen = publication.screen(switches)
    return [(b.id, b.dim, [(f.name, f.type) for f in b.fields]) for b in screen.blocks]
