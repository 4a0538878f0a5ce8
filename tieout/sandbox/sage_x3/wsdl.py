"""Our own description of the service, with the vendor's names: WSDL 1.1, RPC/encoded, and a soap-encoding schema."""

from __future__ import annotations

from functools import cache
from xml.sax.saxutils import quoteattr

from .contract import ARRAYS, OPERATIONS, SERVICE, SOAPENC, STRUCTURES, WSS, XSD

ENCODING_PATH = "/schemas/soap-encoding.xsd"
_PLACE = "@location@"


def wsdl(location: str, schema_location: str = "") -> str:
    """The WSDL with `location` as the service's address.

    schema_location: where the soap-encoding schema is found; "" leaves the import without a place, as the vendor does.
    """
    place = f" schemaLocation={quoteattr(schema_location)}" if schema_location else ""
    return _text().replace(f'"{_PLACE}"', quoteattr(location)).replace("@import@", place)


@cache
def _text() -> str:
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<wsdl:definitions name="CAdxWebServiceXmlCC"',
            f'    targetNamespace="{WSS}" xmlns:wss="{WSS}" xmlns:xsd="{XSD}" xmlns:soapenc="{SOAPENC}"',
            '    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">',
            *_types(),
            *_messages(),
            *_port_type(),
            *_binding(),
            f'  <wsdl:service name="{SERVICE}Service">',
            f'    <wsdl:port name="{SERVICE}" binding="wss:{SERVICE}SoapBinding">',
            f'      <soap:address location="{_PLACE}"/>',
            "    </wsdl:port>",
            "  </wsdl:service>",
            "</wsdl:definitions>",
            "",
        )
    )


def _types() -> list[str]:
    lines = [
        "  <wsdl:types>",
        f'    <xsd:schema targetNamespace="{WSS}">',
        f'      <xsd:import namespace="{SOAPENC}"@import@/>',
    ]
    for name, members in STRUCTURES.items():
        lines += [f'      <xsd:complexType name="{name}">', "        <xsd:sequence>"]
        for member, kind, nil in members:
            nillable = ' nillable="true"' if nil else ""
            lines.append(f'          <xsd:element name="{member}"{nillable} type="{kind}"/>')
        lines += ["        </xsd:sequence>", "      </xsd:complexType>"]
    for name, item in ARRAYS.items():
        lines += [
            f'      <xsd:complexType name="{name}">',
            '        <xsd:complexContent><xsd:restriction base="soapenc:Array">',
            f'          <xsd:attribute ref="soapenc:arrayType" wsdl:arrayType="{item}"/>',
            "        </xsd:restriction></xsd:complexContent>",
            "      </xsd:complexType>",
        ]
    return [*lines, "    </xsd:schema>", "  </wsdl:types>"]


def _messages() -> list[str]:
    lines = []
    for name, operation in OPERATIONS.items():
        lines.append(f'  <wsdl:message name="{name}Request">')
        lines += [f'    <wsdl:part name="{part}" type="{kind}"/>' for part, kind in operation.all_parts]
        lines += [
            "  </wsdl:message>",
            f'  <wsdl:message name="{name}Response">',
            f'    <wsdl:part name="{name}Return" type="wss:CAdxResultXml"/>',
            "  </wsdl:message>",
        ]
    return lines


def _port_type() -> list[str]:
    lines = [f'  <wsdl:portType name="{SERVICE}">']
    for name, operation in OPERATIONS.items():
        order = " ".join(part for part, _ in operation.all_parts)
        lines += [
            f'    <wsdl:operation name="{name}" parameterOrder="{order}">',
            f'      <wsdl:input name="{name}Request" message="wss:{name}Request"/>',
            f'      <wsdl:output name="{name}Response" message="wss:{name}Response"/>',
            "    </wsdl:operation>",
        ]
    return [*lines, "  </wsdl:portType>"]


def _binding() -> list[str]:
    body = f'<soap:body use="encoded" namespace="{WSS}" encodingStyle="{SOAPENC}"/>'
    lines = [
        f'  <wsdl:binding name="{SERVICE}SoapBinding" type="wss:{SERVICE}">',
        '    <soap:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>',
    ]
    for name in OPERATIONS:
        lines += [
            f'    <wsdl:operation name="{name}">',
            '      <soap:operation soapAction=""/>',
            f'      <wsdl:input name="{name}Request">{body}</wsdl:input>',
            f'      <wsdl:output name="{name}Response">{body}</wsdl:output>',
            "    </wsdl:operation>",
        ]
    return [*lines, "  </wsdl:binding>"]


# As much of SOAP 1.1's encoding schema as this WSDL refers to, in our own words; for clients without the internet.
ENCODING = f"""<?xml version="1.0" encoding="UTF-8"?>
<xsd:schema xmlns:xsd="{XSD}" xmlns:soapenc="{SOAPENC}" targetNamespace="{SOAPENC}">
  <xsd:attribute name="arrayType" type="xsd:string"/>
  <xsd:attribute name="offset" type="xsd:string"/>
  <xsd:attribute name="position" type="xsd:string"/>
  <xsd:attribute name="root" type="xsd:boolean"/>
  <xsd:attributeGroup name="commonAttributes">
    <xsd:attribute name="id" type="xsd:ID"/>
    <xsd:attribute name="href" type="xsd:anyURI"/>
    <xsd:anyAttribute namespace="##other" processContents="lax"/>
  </xsd:attributeGroup>
  <xsd:attributeGroup name="arrayAttributes">
    <xsd:attribute ref="soapenc:arrayType"/>
    <xsd:attribute ref="soapenc:offset"/>
  </xsd:attributeGroup>
  <xsd:group name="Array">
    <xsd:sequence>
      <xsd:any namespace="##any" minOccurs="0" maxOccurs="unbounded" processContents="lax"/>
    </xsd:sequence>
  </xsd:group>
  <xsd:element name="Array" type="soapenc:Array"/>
  <xsd:complexType name="Array">
    <xsd:group ref="soapenc:Array" minOccurs="0"/>
    <xsd:attributeGroup ref="soapenc:arrayAttributes"/>
    <xsd:attributeGroup ref="soapenc:commonAttributes"/>
  </xsd:complexType>
</xsd:schema>
"""
