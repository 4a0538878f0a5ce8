"""The forms that a report takes: one writer each, all of the same figures."""
