"""Two ledgers in; matches, discrepancies and the bridge out. A is the left ledger, B the right one.

Load both sides (`load_records`, or the file loader of `connectors.files`) into one DuckDB connection, then `run`.
"""

from tieout.compare.background import Background
from tieout.compare.engine import run
from tieout.compare.files import compare_files
from tieout.compare.findings.control import Checks
from tieout.compare.inputs.tables import load_records, tables_for
from tieout.compare.listed import tallied
from tieout.compare.matching.ladder import match, match_customers
from tieout.compare.result import Bridge, Discrepancy, Explained, Line, Match, Result, Rounding, Side, Tally, Totals

__all__ = [
    "Background",
    "Bridge",
    "Checks",
    "Discrepancy",
    "Explained",
    "Line",
    "Match",
    "Result",
    "Rounding",
    "Side",
    "Tally",
    "Totals",
    "compare_files",
    "load_records",
    "match",
    "match_customers",
    "run",
    "tables_for",
    "tallied",
]
