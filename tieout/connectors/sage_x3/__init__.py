"""Sage X3: reading and writing the documents of one site over its SOAP web services."""

from tieout.connectors.sage_x3.connector import SageX3Connector, open_sage_x3

__all__ = ["SageX3Connector", "open_sage_x3"]
