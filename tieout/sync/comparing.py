"""How a run compares both books: from the same inputs only once, with what is known of either ledger beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tieout import compare
from tieout.compare import Explained
from tieout.model import Entity
from tieout.sync.core.facts import LEFT, RIGHT, Which
from tieout.sync.inputs.links import Relation
from tieout.sync.inputs.quiet import Quiet
from tieout.sync.inputs.reading import Read
from tieout.sync.inputs.stated import Stated
from tieout.sync.run import Run
from tieout.sync.state import periods
from tieout.sync.state.covered import lists_open_items, reads_whole


@dataclass(frozen=True, slots=True)
class Comparing:
    """Compares the books of a run as they are when it is asked. relation: where that happens"""

    run: Run
    read: Read
    quiet: Quiet
    relation: Relation

    def result(self, purpose: str, explained: Sequence[Explained], *, reported: bool = True) -> compare.Result:
        """Both books compared. reported: hold balances that a system states against its documents, too."""
        run, pair = self.run, self.run.pair
        disputes = {w for w in (LEFT, RIGHT) if self._says_disputed(w)}
        asked = (run.as_of, pair.config_hash, pair.mode, pair.rounding, explained, reported)
        # Credit grows old by the day; nothing else of a comparison depends on today.
        today = run.store.clock().date() if pair.checks.unused_credit_days is not None else None
        ledgers = {w: self._background(w) for w in (LEFT, RIGHT)}
        inputs = (*asked, sorted(disputes), _spelled(pair.checks), today, ledgers)
        fingerprint = self.quiet.fingerprint(inputs)
        known = self.quiet.compared(purpose, fingerprint)
        if known is not None:
            return known
        result = compare.run(
            self.relation.fresh(
                kept=Stated.of(self.read.books, pair).counts,
                open_items={w for w, ledger in ledgers.items() if ledger.open_items},
                disputes=disputes,
                as_of=run.as_of,
            ),
            self._entered(LEFT, ledgers[LEFT]),
            self._entered(RIGHT, ledgers[RIGHT]),
            as_of=run.as_of,
            rounding=pair.rounding,
            explained=explained,
            reported_balances=reported,
            checks=pair.checks,
            today=today,
            in_step=True,
        )
        self.quiet.keep(purpose, fingerprint, result)
        return result

    def _background(self, which: Which) -> compare.Background:
        """What is known of a side's ledger beside its documents."""
        store, name = self.run.store, self.run.names[which]
        whole = reads_whole(store, name, self.run.entities(which)) and not self.read.books[which].unreadable()
        return compare.Background(
            name,
            open_items=lists_open_items(store, name),
            home=self.read.companies[which].home_currency or None,
            whole=whole,
            closings=periods.closed(store, name, self.read.companies[which]),
            applies=self._applies(which),
        )

    def _applies(self, which: Which) -> tuple[str, ...]:
        """The kinds of documents of which a system says what they are applied to: of none in a list of open items."""
        if lists_open_items(self.run.store, self.run.names[which]):
            return ()
        fields = self.run.connectors[which].capabilities.fields
        return tuple(e.value for e in (Entity.PAYMENT, Entity.CREDIT_MEMO) if "applications" in fields.get(e, ()))

    def _entered(self, which: Which, ledger: compare.Background) -> compare.Background:
        """The same, with what may have come after its closings: asked only where books are compared anew."""
        return replace(ledger, entered=periods.entered_since(self.run.store, self.run.names[which], ledger.closings))

    def _says_disputed(self, which: Which) -> bool:
        return "disputed" in self.run.connectors[which].capabilities.fields.get(Entity.INVOICE, frozenset())


def _spelled(checks: compare.Checks) -> tuple[object, ...]:
    """The checks in one spelling: sets have none."""
    sides = sorted(checks.unique_numbers), sorted(checks.gapless_numbers)
    return (*sides, checks.negative_balances, checks.unused_credit_days)
