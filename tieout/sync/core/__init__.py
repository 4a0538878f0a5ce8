"""What is decided, and on what: pure functions and frozen facts that `plan` and `guard` stand on."""
