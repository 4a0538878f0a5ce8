"""Clients in other languages, driving the sandboxes. Not part of the test suite: `make interop` runs them."""
