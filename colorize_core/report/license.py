"""What a license is called, and what it asks of those who use a photograph."""

from __future__ import annotations

import re
from dataclasses import dataclass

from colorize_core.text import visible

CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/([\d.]+)(?:/([a-z]{2,8}))?/?"
)
STATEMENT = re.compile(r"https?://rightsstatements\.org/(?:vocab|page)/([A-Za-z-]+)/[\d.]+/?")
ASKS = {
    "by": "name the author",
    "sa": "pass adaptations on under the same license",
    "nc": "no commercial use",
    "nd": "no adaptations: a colorization is one",
}
STATEMENTS = {
    "NKC": ("No known copyright", "nothing, as far as its holder knows"),
    "NoC-US": ("No copyright – United States", "nothing in the United States; elsewhere it may be protected"),
    "NoC-NC": ("No copyright – non-commercial use only", "no commercial use, by contract"),
    "NoC-OKLR": ("No copyright – other legal restrictions", "heed for laws other than copyright"),
    "NoC-CR": ("No copyright – contractual restrictions", "heed for a contract"),
    "InC": ("In copyright", "permission of the rights holder"),
    "InC-EDU": ("In copyright – educational use permitted", "permission for anything but education"),
    "InC-NC": ("In copyright – non-commercial use permitted", "permission for commercial use"),
    "UND": ("Copyright undetermined", "unknown: find out before use"),
    "CNE": ("Copyright not evaluated", "unknown: find out before use"),
}


@dataclass(frozen=True)
class License:
    """A short name, what it asks in a few words ("" where that is not known), and its address if it has one."""

    name: str
    asks: str
    href: str | None


def describe(text: str) -> License:
    """The license that a canonical address or the words of a source stand for; "" is one that nobody stated."""
    if not text:
        return License("Not stated", "unknown: find out before use", None)
    if found := CREATIVE_COMMONS.fullmatch(text):
        kind, name, version, port = found.groups()
        if kind == "publicdomain":
            label = {"mark": "Public Domain Mark", "zero": "CC0"}.get(name, name)
            return License(f"{label} {version}", "nothing", text)
        asks = [ASKS[part] for part in name.split("-") if part in ASKS]
        label = f"CC {name.upper()} {version}" + (f" {port.upper()}" if port else "")
        return License(label, "; ".join(asks), text)
    if (found := STATEMENT.fullmatch(text)) and found[1] in STATEMENTS:
        return License(*STATEMENTS[found[1]], text)
    return License(visible(text), "", None)
