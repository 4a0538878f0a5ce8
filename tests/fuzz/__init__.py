"""Every parser under its law: for any bytes it gives what is there, or says in a TieoutError what is wrong, and where.

`frame` holds a parser to its law, `mutation` makes the bytes, `files`, `answers` and `own` are the parsers with seeds
that our own writers and stand-ins make. `test_fuzz` is the cheap part of `make test`; `make fuzz` the long one.
"""
