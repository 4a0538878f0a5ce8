"""A whole exported file in columns: `load` for a comparison, `check` for what became of each row."""
