"""Ledgers on their way into a comparison: from objects, Parquet or a state database, on DuckDB or Spark."""
