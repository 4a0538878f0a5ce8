"""AOWSIMPORT: not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faults import Refused
from .payload import Doc, Given

if TYPE_CHECKING:
    from .books import Books


def run(books: Books, given: Given) -> Doc:
    del books
    raise Refused("no_template", name=given.fields.get("I_MODIMP", ""))
