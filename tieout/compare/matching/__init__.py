"""Which documents of the two ledgers are the same: equal ones first, then the ladder, then groups by their sums."""
