"""Keeps an accounting package in step with a company's other books, and proves it."""

__version__ = "0.1.0"
