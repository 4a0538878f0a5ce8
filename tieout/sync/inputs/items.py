"""Whether a side takes a new document for what its lines sell: known before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tieout.connectors import Connector, Item, Selling
from tieout.sync.core.facts import Shared, Which
from tieout.sync.core.operations import NO_ITEM
from tieout.sync.inputs.sides import foretold


@dataclass(frozen=True)
class Items:
    """What both systems sell, read once, and only if a new document names an item there."""

    connectors: Mapping[Which, Connector]
    names: Mapping[Which, str]
    pair: str
    _read: dict[Which, Mapping[str, Item] | None] = field(default_factory=dict)

    def why_not(self, encoded: Shared, target: Which) -> tuple[str, str] | None:
        """Why the target would refuse a new document for its items, and what to do; None if it takes it.

        encoded: the document with the codes of the target
        """
        named = dict.fromkeys(line["item"] for line in encoded.get("lines", ()) if line["item"])
        known = self._known(target) if named else None
        if known is None:
            return None
        why = [self._unusable(code, known.get(code), target) for code in named]
        if not any(why):
            return None
        remedy = f"make it active again there, or name another one in [pair.{self.pair}.codes.items]"
        return "; ".join(filter(None, why)), f"{remedy}: what waits for it follows by itself"

    def _unusable(self, code: str, item: Item | None, target: Which) -> str:
        if item is None:
            return f"{self.names[target]} {NO_ITEM} {code!r}"
        return "" if item.active else f"{self.names[target]} {NO_ITEM} {code!r} any more: {item.name} is inactive"

    def _known(self, target: Which) -> Mapping[str, Item] | None:
        """What the target sells; None where it does not say."""
        connector = self.connectors[target]
        if not isinstance(connector, Selling):
            return None
        if target not in self._read:
            self._read[target] = foretold(connector.items)
        return self._read[target]
