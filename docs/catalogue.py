"""What the reference pages say beyond the code: the next step after each error, the meaning of each code.

The program is read for everything that it states itself (classes, exit codes, causes, remedies); a class or code that
has no words here makes the pages fail to build.
"""

from __future__ import annotations

# The next step after each public error.
NEXT: dict[str, str] = {
    "TieoutError": "Read the message; the line that begins with → is the next step.",
    "ConfigError": "Mend every problem that is listed, then `tieout check`. Running again without a change gives the "
    "same answer.",
    "HomeCurrencyError": "Pair books that are kept in one home currency. Of a connection to files it is `currency` in "
    "tieout.toml: see that it is what the ERP counts in. A pair that was refused so has read and written nothing.",
    "ProfileError": "`tieout profile check FILE --profile P` shows which rows and columns do not fit; "
    "`tieout profile infer FILE` proposes a profile for a new layout.",
    "RetriableError": "Nothing, if a schedule runs it: the next run goes on where this one stopped. By hand: wait "
    "`retry_after` seconds where the message names them, then run again.",
    "LeaseHeldError": "Nothing: the other run does the work. The lease of a run that was killed ends at once for the "
    "next run on the same machine (Linux), and two minutes after its last sign of life for any other.",
    "RefusedError": "A person decides: approve or reject the plan, lift the guard by its name, or answer the "
    "discrepancy.",
    "SignInRequired": "`tieout connect NAME`, as the user that the schedule runs as. Nothing is lost; the next run "
    "goes on where this one stopped.",
    "FatalError": "Read the message; run again with `--debug` if it does not say enough, and report that output.",
    "NotServedError": "Correct the address or the names of the connection in `tieout.toml`, or publish the service at "
    "the remote; then `tieout check`, which asks for each of them.",
    "AuthError": "Check the company id and the credentials of the connection in `tieout.toml`, then `tieout connect "
    "NAME`. If the connection is to open another company on purpose, give it another state database.",
    "NotFoundError": "Look for the record in the system that was asked. In a sync it becomes a discrepancy; nothing is "
    "deleted on the other side because of it.",
    "ReadOnlyError": "Make the change by hand, or add an import profile for that entity to the connection.",
    "WriteError": "See the class below: it says what is known about the effect. `request_id` is what the vendor's "
    "support asks for.",
    "NotSent": "Nothing; it is sent in the next run.",
    "NotProcessed": "Nothing; no further write goes to that connection in this run, and the next run sends it.",
    "Rejected": "Mend what the target names (in the document at its origin, or in the target's settings). It is tried "
    "again when the document or the configuration changes, or after a decision.",
    "PeriodClosed": "Re-date it at its origin, enter it in an open period, or have the period opened. tieout never "
    "re-dates by itself.",
    "DuplicateNumber": "Nothing if the record carries our reference: it is adopted. Else look at the record that holds "
    "the number, and renumber or link one of the two.",
    "StaleWrite": "Nothing; the next run plans from what is there now, and an approval given for the old state does "
    "not carry over.",
    "UnknownOutcome": "Nothing; the next run reads back and settles it. If it stays open, a discrepancy "
    "`UNCERTAIN_WRITE` says what to look for.",
    "RecordError": "Mend the record where it is kept. Until then it is listed as `PARSE_REJECT`, what depends on it "
    "waits, and it never counts as absent.",
}  # fmt: skip

# What each code of a discrepancy says has happened. A is the left ledger, B the right one.
MEANING: dict[str, str] = {
    "SYNC_IN_FLIGHT": "A document of one ledger is planned, approved or sent, and not yet seen in the other.",
    "SYNC_BLOCKED": "The sync knows of the document and may not write it: an unmapped code, a missing customer, a "
    "refusal of the target.",
    "PERIOD_LOCKED": "The document belongs to a period that is closed in the other ledger.",
    "AMBIGUOUS_MATCH": "Several documents could be each other's counterpart; none is taken.",
    "SPLIT_OR_MERGED": "One document of a ledger, or several, have the total of several of the other, of one customer.",
    "PAYMENT_DUPLICATED": "One receipt stands twice in a ledger.",
    "DUPLICATE_WITHIN_LEDGER": "One document stands twice in a ledger.",
    "PAYMENT_MISSING": "A receipt is in one ledger only.",
    "MISSING_IN_A": "A document of B has no counterpart in A.",
    "MISSING_IN_B": "A document of A has no counterpart in B.",
    "WRITEOFF_ONE_SIDE": "A write-off is in one ledger only.",
    "DISCOUNT_TAKEN_DIFF": "A discount that was taken is in one ledger only, or differs in amount.",
    "REFUND_MISMATCH": "A refund is in one ledger only, or differs in amount.",
    "WITHHOLDING_DIFF": "Tax withheld by the payer is in one ledger only, or differs in amount.",
    "FX_REALIZED": "A realised exchange gain or loss is in one ledger only, or differs in amount.",
    "CHARGEBACK_NSF": "A payment that the bank returned is undone in one ledger only.",
    "DRAFT_VS_POSTED": "The document is posted in one ledger and a draft in the other.",
    "VOID_DATE_DIFF": "Both ledgers undid the document, from different days on.",
    "VOID_VS_OPEN": "The document is voided in one ledger and stands in the other.",
    "DELETED_VS_OPEN": "The document was removed from one ledger (confirmed by reading) and stands in the other.",
    "PAID_INFERRED": "The document dropped out of one ledger's list of open items, and no payment of it is shown.",
    "PAID_VS_OPEN": "The document is settled in one ledger and open, or open with another amount, in the other.",
    "CURRENCY_MISMATCH": "The same document is in two currencies.",
    "AMOUNT_SIGN": "The same document raises receivables in one ledger and lowers them in the other.",
    "CUTOFF": "The same document falls on different sides of the comparison date.",
    "TAX_INCLUSIVE_CONFUSION": "The amount with tax of one ledger is the amount before tax of the other.",
    "TAX_AMOUNT": "The tax of the document differs.",
    "AMOUNT_NET": "The amount before tax of the document differs.",
    "PAYMENT_AMOUNT": "The amount of the receipt differs.",
    "ROUNDING": "The amounts differ within the rounding policy of the pair.",
    "FX_RATE_DEFAULTED": "The amounts agree in document currency; the exchange rate is 1 in one ledger only.",
    "FX_RATE": "The amounts agree in document currency; the exchange rates do not.",
    "UNAPPLIED_CASH": "Money or a credit is applied in one ledger and on account in the other.",
    "MISAPPLIED": "The same money is applied to different invoices.",
    "APPLICATION_AMOUNT": "The same application has different amounts.",
    "APPLICATION_MISSING": "An application is in one ledger only.",
    "APPLICATION_DATE": "The same application has different dates.",
    "CROSS_CUSTOMER": "A payment stands on who paid in one ledger and on who owed in the other.",
    "CUSTOMER_MISMATCH": "The same document stands on different customers.",
    "OVER_APPLIED": "More is applied, or would be, than the document has.",
    "ENTITY_DIFF": "The same document stands under two entities that both ledgers know.",
    "AR_ACCOUNT_DIFF": "The same document stands on two control accounts that both ledgers know.",
    "CREDIT_UNUSED": "A customer has had money or credit on account for longer than was asked about. Looked for only "
    "where `unused_credit_days` is set (`--unused-credit`); one for each customer.",
    "NEGATIVE_BALANCE": "A customer's balance is a credit. Looked for only where `negative_balances` is set "
    "(`--negative-balances`); one for each customer.",
    "TERMS_DIFF": "A customer has other payment terms, of which both ledgers know both.",
    "DUE_DATE_DIFF": "The due dates differ.",
    "DATE_DIFF": "The dates of the document differ, on the same side of the comparison date.",
    "DISCOUNT_DIFF": "The discount that the document states differs.",
    "NUMBER_MISMATCH": "What is taken for one document has two numbers.",
    "NUMBER_REUSED": "A number of voided documents stands on another one, in one ledger. Looked for only where "
    "`unique_numbers` names the ledger (`--unique-numbers`).",
    "SEQUENCE_GAP": "Numbers of a series are left out in one ledger. Looked for only where `gapless_numbers` names the "
    "ledger (`--gapless-numbers`); one for each series, which is what stands before the last digits of a number.",
    "TAX_CODE": "The same document has other tax codes, of which both ledgers know both.",
    "TAX_ID_DIFF": "The tax id of a customer differs.",
    "PARENT_DIFF": "A customer stands below another one than in the other ledger.",
    "INVARIANT_BROKEN": "A ledger breaks one of its own rules, which the field names: I1 subtotal, discount and tax "
    "make the total · I2 lines and tax lines add up · I7 both ends of an application are there, posted, of one "
    "customer family and agree on the amount · I8 what is voided is applied no longer · I9 the realised exchange gain "
    "is what the rates give · I10 a document in another currency has a rate of its own, one in home currency the rate "
    "1 · I11 a number is used once (only where `unique_numbers` asks). What is open, and what is applied beyond it, has codes of its own: "
    "`BALANCE_MISMATCH_INTERNAL`, `OVER_APPLIED`.",
    "NON_OVERLAP": "Two files cover different times: they have no day in common, or ten documents and more of one lie "
    "a week and more before or behind all of the other's; only documents that the other lacks count.",
    "ID_REPLACED": "The same document has another id than in the other export of the same system.",
    "STATUS_MISMATCH": "A mark that moves no money (such as *disputed*) differs.",
    "CUSTOMER_FIELD_DIFF": "Name, e-mail or another field of a customer differs.",
    "CUSTOMER_DUPLICATE": "A customer could be any of several of the same name in the other ledger.",
    "CUSTOMER_UNMAPPED": "Two customers have the same documents, and neither number nor name in common.",
    "OUT_OF_SCOPE": "A document of one ledger is left out by a rule of the pair: dated before the cut-over, or of a "
    "kind that does not flow that way.",
    "BALANCE_MISMATCH_INTERNAL": "A balance that the ledger reports is not what its own documents add up to.",
    "DUPLICATE_CROSS_ORIGIN": "Both ledgers hold a document twice, once born in either: the same kind, customer, "
    "amount and day (or up to three days apart under one number).",
    "BACKDATED_AFTER_CLOSE": "A document was first seen after its period was known to be closed in that ledger (I12). "
    "What was entered before tieout knew of the closing cannot be told from what was there in time.",
    "STALE_VERSION": "A record was changed at the target between the plan and the write; nothing was written.",
    "EDIT_OVERWRITTEN": "An export showed a field as somebody had typed it, after a file with another value was handed "
    "over; then the file was loaded, and its value stands. Listed until it is accepted.",
    "WRITE_ALTERED": "What was read back after a write is not what was sent. Listed as long as the difference stands; "
    "where that has a code of its own, beside it.",
    "WRITE_DROPPED_FIELD": "What was read back after a write says nothing of a field that was sent.",
    "STALE_SNAPSHOT": "The newest dated export of a side is older than `stale_after_days`.",
    "TRUNCATED_EXTRACT": "What was read is not all there is: its manifest, its own count or a row that names no "
    "record says so. Nothing that is missing from it counts as gone.",
    "FALSE_DELETE_SUSPECTED": "So much is missing at once, or all of it, that nobody believes it: nothing counts as "
    "gone.",
    "MISSED_CHANGE": "Reading everything showed a version that the system's feed of changes did not. It is listed "
    "until everything is read again.",
    "EXPIRED_ACKNOWLEDGEMENT": "Only beside another code: the difference was accepted until a day that has passed.",
    "AGED_RECON_ITEM": "Only beside another code: a difference of money has stood for longer than `aged_after_days`.",
    "UNCERTAIN_WRITE": "A write was sent, and it is not known yet whether it happened.",
    "RESURRECTED": "What was gone or void when the state last took note of it stands again.",
    "UNTRACED_TIE_OUT": "A receivables balance that a ledger's own report states is not what its documents add up to "
    "on that day.",
    "VOID_VS_DELETED": "The document was voided in one ledger and deleted from the other: nothing is owed in either.",
    "UNAUTHORISED_EDIT_AFTER_POST": "A field was changed on the side that does not own it, or on both sides, since the "
    "two last agreed.",
    "LINE_STRUCTURE": "The lines of the document differ; its total does not.",
    "CUSTOMER_INACTIVE": "A customer that both ledgers held was removed from one of them.",
    "PARSE_REJECT": "A record could not be read.",
    "MASS_CHANGE_GUARD": "A guard holds operations of the plan.",
}  # fmt: skip

# What the field knows as discrepancies of receivables and tieout does not list, with what it would take.
ABSENT: dict[str, str] = {
    "Lines of the general ledger": "A journal on the control account, a document not posted or posted to another "
    "account, an entry without a customer, revaluation and unrealised exchange gains: records of a subledger do not "
    "show them. What they add up to is `UNTRACED_TIE_OUT`.",
    "The ledger's own aging report": "Another basis of aging with the same balance. Of the documents, `DUE_DATE_DIFF` "
    "and `TERMS_DIFF` show why two aging reports differ.",
    "The period a system posted into": "Records carry the accounting date, not a period beside it, so that a document "
    "whose date and period fall apart cannot be told.",
    "Cost centres, freight, exemption from tax": "Records carry no dimensions, no freight apart from lines, and no "
    "mark of exemption. Tax that is gone in one ledger is `TAX_AMOUNT` with `TAX_DROPPED` beside it.",
    "When a file was made": "Of two files compared by hand nothing tells; `NON_OVERLAP` sees different periods only. "
    "A connection knows it by the date of its exports (`STALE_SNAPSHOT`).",
    "Sign-offs and roles": "Who prepared and who approved, rules changed after a sign-off, guards that were lifted: "
    "these are questions to the audit log, not differences of two ledgers.",
    "Changes within a closed period": "`BACKDATED_AFTER_CLOSE` names documents that came late. One that was there, "
    "and is changed later, shows as what changed: `UNAUTHORISED_EDIT_AFTER_POST`, `VOID_VS_OPEN`, `AMOUNT_NET` ….",
    "Nothing to list": "Date order, decimal comma and encoding of a file are settled before it is read: `tieout "
    "profile check` refuses what is ambiguous. What tieout wrote is never taken for an edit, so that there are no "
    "echoes to name; writes go one by one, so that no batch is done in part.",
}

CLASSES = {
    "T": "changes the total of receivables",
    "Z": "moves money between documents, customers or dates; the total stays",
    "G": "lies between a ledger's documents and its general ledger; the two ledgers' documents may still agree",
    "N": "moves no money",
}
