"""What people work on: plans, differences, decisions, how ready a close is, and what was known on a day."""
