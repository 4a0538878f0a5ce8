"""Ratios of tieout to the plain work beneath it, measured side by side in one run. `python -m benchmarks [NAME …]`."""
