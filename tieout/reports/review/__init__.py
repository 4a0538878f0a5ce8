"""What a month end and an audit look through: steps and their sign-off, late changes, every write."""
