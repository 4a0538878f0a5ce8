"""`tieout demo`: a month end between SAP and QuickBooks, told from the first sync to the last explained cent."""

from tieout.demo.story import run

__all__ = ["run"]
