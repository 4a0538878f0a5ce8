"""Points python-quickbooks at the sandbox of QBO_EMULATOR_URL: `pytest -p sandbox_plugin`.

A gap after each test (QBO_TEST_GAP, seconds): the suite names what it creates by the second.
"""

from __future__ import annotations

import os
import time
import unittest
from collections.abc import Iterator

import intuitlib.config
import pytest
from quickbooks.client import QuickBooks

BASE = os.environ["QBO_EMULATOR_URL"].rstrip("/")
intuitlib.config.DISCOVERY_URL["sandbox"] = f"{BASE}/.well-known/openid_sandbox_configuration/"
QuickBooks.sandbox_api_url_v3 = QuickBooks.api_url_v3 = f"{BASE}/v3"
if not hasattr(unittest.TestCase, "assertEquals"):  # gone since Python 3.12; older suites say it
    unittest.TestCase.assertEquals = unittest.TestCase.assertEqual


@pytest.fixture(autouse=True)
def _another_second() -> Iterator[None]:
    yield
    time.sleep(float(os.environ.get("QBO_TEST_GAP", "1.1")))
