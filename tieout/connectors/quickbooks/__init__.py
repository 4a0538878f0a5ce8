"""QuickBooks Online: signing in, reading and writing the books of one company."""

from tieout.connectors.quickbooks.connector import QuickBooksConnector, capabilities, open_quickbooks

__all__ = ["QuickBooksConnector", "capabilities", "open_quickbooks"]
