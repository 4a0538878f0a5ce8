"""Money that came, and money that should: suggestions, whom to call, what to expect."""
