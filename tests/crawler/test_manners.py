from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from crawler.manners import _seconds


@pytest.mark.parametrize("text, seconds", [("0", 0), ("120", 120), (" 7 ", 7), (None, None), ("", None), ("-5", None)])
def test_retry_after_in_seconds(text, seconds):
    assert _seconds(text and text.encode()) == seconds


@pytest.mark.parametrize("text", ["soon", "1.5", "Wed, 99 Foo 2026 00:00:00 GMT", "\xff"])
def test_retry_after_that_cannot_be_read(text):
    assert _seconds(text.encode("latin-1")) is None


def test_retry_after_as_a_date():
    now = datetime.now(UTC)
    assert 88 < _seconds(format_datetime(now + timedelta(seconds=90), usegmt=True).encode()) <= 90
    assert _seconds(format_datetime(now - timedelta(seconds=90), usegmt=True).encode()) == 0
