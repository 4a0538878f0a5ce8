"""Reports for people and for auditors: pure functions from records to a `Report`, and the forms it is written in.

A report is data: tables of typed cells, charts by their numbers, proofs, and where all of it came from. How it looks is
the affair of one writer for each form, so every form shows the same figures.
"""

from tieout.reports.books import Books
from tieout.reports.frame import Bar, Chart, Column, Proof, Report, Row, Table

__all__ = ["Bar", "Books", "Chart", "Column", "Proof", "Report", "Row", "Table"]
