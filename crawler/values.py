"""Values out of an archive's JSON, where any field may be missing, null, a list, or of another type than promised."""

from __future__ import annotations

import json
import re
from typing import Any

from parsel import Selector

MARKUP = re.compile(r"<[a-zA-Z/!]|&(?:\w+|#\w+);")
BREAKS = re.compile(r"(?=</?(?:br|p|div|li|ul|tr|td|th|h\d)\b)", re.I)
SHOWN = (
    "//text()[not(ancestor::style or ancestor::script or "
    'ancestor::*[contains(translate(@style, " ", ""), "display:none")])]'
)


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value as a list: none for null, one for a single value."""
    return [] if value is None else value if isinstance(value, list) else [value]


def text(value: Any) -> str | None:
    """Readable text of a string, a number or a list of them, joined by "; ", without HTML; None where there is none."""
    if isinstance(value, list):
        return "; ".join(dict.fromkeys(part for v in value if (part := text(v)))) or None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    said = whole(str(value))
    if MARKUP.search(said):
        said = "".join(Selector(BREAKS.sub(" ", said), type="html").xpath(SHOWN).getall())
    return " ".join(said.split()) or None


def verbatim(record: Any) -> str:
    """A record as JSON text."""
    return whole(json.dumps(record, ensure_ascii=False))


def whole(said: str) -> str:
    """Text that UTF-8 can hold: JSON can escape half of a surrogate pair."""
    return said.encode("utf-8", "replace").decode()
