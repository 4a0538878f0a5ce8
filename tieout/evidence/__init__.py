"""Proof for people who do not trust the database: anchors outside of it, their verifier, and the pack of a run."""
