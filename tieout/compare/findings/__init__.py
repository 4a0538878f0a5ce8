"""The rules: what differs between matched documents, what has no counterpart, and what a ledger breaks by itself."""
