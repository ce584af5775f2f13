"""Text fit to be shown: names from outside, spans of time."""

from __future__ import annotations

JOINERS = "\u200c\u200d"  # part of Persian words and of emoji


def visible(name: str) -> str:
    """The name with every character that steers instead of showing (controls, bidi overrides, ...) as an escape."""
    return "".join(c if c.isprintable() or c in JOINERS else _escape(c) for c in name)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
