"""What is owed, by whom, since when: the reports of one ledger, or of two beside each other."""
