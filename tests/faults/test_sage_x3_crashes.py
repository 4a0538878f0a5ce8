"""The process dies at a call of the Sage X3 connector, before or after X3 did its part: nothing doubled, nothing lost."""

from __future__ import annotations

import contextlib
from collections import Counter
from decimal import Decimal

import pytest

from tests.sage_x3_bench import bench
from tests.scenarios.test_sage_x3 import X3World
from tests.scenarios.world import customer, invoice, payment
from tieout.connectors.http import Transport
from tieout.connectors.memory import SimulatedCrash
from tieout.errors import TieoutError
from tieout.evidence.verify import log_breaks

D = Decimal
OFTEN = 6  # of the reading calls every so many-th; of the writing ones each


class Mortal(Transport):
    """A transport under which the process dies at the calls that `script` names."""

    def __init__(self, script, **kw):
        super().__init__(**kw)
        self.script = script

    def send(self, method, url, **kw):
        dies = self.script.call(kw["body"])
        if dies == "before":
            raise SimulatedCrash
        answer = super().send(method, url, **kw)
        if dies == "after":
            raise SimulatedCrash
        return answer


class Script:
    """Counts calls and says at which the process dies; it dies once."""

    def __init__(self, nth=0, when="before"):
        self.nth, self.when, self.writes = nth, when, []
        self.calls = 0

    def call(self, body):
        self.calls += 1
        if any(word in body for word in (b"save", b"actionObjectKeys", b"modify")):
            self.writes.append(self.calls)
        return self.when if self.calls == self.nth else ""


def story(x3, script):
    """A customer, an invoice and a payment on part of it, brought to X3 by runs of which one dies."""
    x3.settings["width"] = 1
    world = X3World(x3)
    world.right._wire.transport = lambda pace: Mortal(script, pace=pace)
    ada = world.l.put(customer("Ada Ltd"))
    one = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.l.put(payment(ada.ref.id, "60.00", on=((one.ref.id, "60.00"),), reference="chk 7"))
    return world


def run(world):
    with contextlib.suppress(SimulatedCrash, TieoutError):
        return world.run(tick=900)


def cases():
    with bench() as x3:
        script = Script()
        run(story(x3, script))
    read = [n for n in range(1, script.calls + 1) if n not in script.writes]
    return [(n, when) for n in sorted({*script.writes, *read[::OFTEN]}) for when in ("before", "after")]


def test_a_run_that_dies_at_any_call_is_made_good_by_the_next_ones(subtests: pytest.Subtests) -> None:
    died = Counter()
    for nth, when in cases():
        with subtests.test(nth=nth, when=when), bench() as x3:
            script = Script(nth, when)
            world = story(x3, script)
            for _ in range(3):  # what never arrived is looked for twice before it is sent again
                run(world)
            assert script.calls >= nth
            died[when] += 1
            assert world.made() == {"BPC": 1, "SIH": 1, "PAY": 1}
            [mirror] = world.books.rows("SIH")
            assert mirror["STA"] == 3
            assert world.open(mirror["NUM"]) == D(40)
            report = world.run()
            assert report.operations == []
            assert [d.as_json() for d in report.discrepancies] == []
            assert log_breaks(world.store) == []
            x3.books.check()
    assert min(died.values()) >= 6
