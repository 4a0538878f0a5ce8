"""What nobody has verified about QuickBooks: the connector keeps the contract whichever way it turns out to be.

Each setting runs with the checks that it bears on.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tieout.testing import CHECKS, run

from .quickbooks_harness import QuickBooksHarness

BY_NAME = {check.name: check for check in CHECKS}
THROTTLE = ("raises_when_the_system_is_down", "does_nothing_when_throttled")
VOID = ("shows_voids", "voids_and_keeps_the_number", "frees_money_when_voiding")
KEYS = ("writes_once_per_key", "says_unknown_when_an_answer_is_lost")
CASES = [
    ({"delete_invoice_with_payment": "unlink"}, ("drops_deleted_records_only", "deletes_one_record")),
    ({"void_invoice_with_payment": "reject"}, VOID),
    ({"second_void": "reject"}, VOID),
    ({"void_note_separator": "newline"}, VOID),
    ({"void_note_separator": "dash"}, VOID),
    ({"payment_bumps_invoice_token": False}, ("takes_money_applied", "refuses_stale_versions")),
    ({"custom_txn_numbers": True}, ("creates_what_it_was_given", *KEYS)),
    ({"custom_txn_numbers": True, "warn_duplicates": False}, KEYS),
    ({"requestid_changed_payload": "600"}, KEYS),
    ({"filter_private_note": "4001"}, ("finds_by_marker", *KEYS)),
    ({"numeric_filter_unquoted": "4000"}, ("finds_by_marker", "lists_every_record_once")),
    ({"total_count_on_rows": True}, ("lists_every_record_once", "notices_a_short_list")),
    ({"throttle_format": "json-429"}, THROTTLE),
    ({"throttle_format": "lower-json-429", "retry_after": "60"}, THROTTLE),
    ({"throttle_format": "html-503"}, THROTTLE),
    ({"apply_to_closed_invoice": "drop_line"}, ("takes_money_applied",)),
    ({"auto_apply_credit": True}, ("adds_up", "answers_with_what_it_left", "creates_what_it_was_given")),
    ({"auto_apply_payment_api": True}, ("adds_up", "takes_money_applied")),
    ({"book_close_code": "6210"}, ("tells_closed_periods", "keeps_closed_periods")),
    ({"rotate_refresh": "every_call", "refresh_old_token": "invalid"}, ("misses_nothing_across_the_cursor",)),
    ({"legacy_tax_override": "honour"}, ("creates_what_it_was_given", "reads_what_was_entered")),
    ({"multicurrency": True}, ("creates_what_it_was_given", "adds_up")),
    ({"cdc_over_30_days": "clamp"}, ("misses_nothing_across_the_cursor",)),
]


@pytest.mark.parametrize(
    ("switches", "name"),
    [pytest.param(s, n, id=f"{'-'.join(map(str, s.values()))}-{n}") for s, names in CASES for n in names],
)
def test_it_keeps_the_contract_under(switches, name):
    with ExitStack() as stack:
        run(BY_NAME[name], QuickBooksHarness(stack, **switches))
