"""What a run reads of both systems, how it belongs together, and what the run may do with it."""
