"""Names from outside, made fit to be shown."""

from __future__ import annotations

JOINERS = "\u200c\u200d"  # part of Persian words and of emoji


def visible(name: str) -> str:
    """The name with every character that steers instead of showing (controls, bidi overrides, ...) as an escape."""
    return "".join(c if c.isprintable() or c in JOINERS else _escape(c) for c in name)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
