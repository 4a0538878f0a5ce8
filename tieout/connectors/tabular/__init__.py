"""An ERP that speaks in files: the exports it drops, and the import files handed to it."""

from tieout.connectors.tabular.connector import TabularConnector, open_tabular

__all__ = ["TabularConnector", "open_tabular"]
