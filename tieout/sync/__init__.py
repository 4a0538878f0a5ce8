"""Two ledgers kept in step: a run of a pair (`engine`), what it decides, writes and keeps, and what people answer."""
