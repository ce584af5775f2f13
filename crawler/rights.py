"""Rights: whatever a source says about a photograph's license, as one canonical URI, and the gate that reads it.

Only a whole statement is recognized, never a phrase inside one, so "not in the public domain" is not public domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CC = "https://creativecommons.org/"
STATEMENT = "http://rightsstatements.org/vocab/{}/1.0/"
PUBLIC_DOMAIN = CC + "publicdomain/mark/1.0/"
ZERO = CC + "publicdomain/zero/1.0/"
CERTIFICATION = CC + "licenses/publicdomain/"  # the retired dedication, still on many items of the Internet Archive
IN_COPYRIGHT = STATEMENT.format("InC")
NO_COPYRIGHT_US = STATEMENT.format("NoC-US")
NO_KNOWN_COPYRIGHT = STATEMENT.format("NKC")

# from the freest to the strictest: of two statements that differ, the stricter one counts
KINDS = (
    "public-domain", "cc0", "no-known-copyright", "no-copyright-us",
    "by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd", "unknown", "in-copyright",
)  # fmt: skip
DEFAULT = ("public-domain", "cc0", "by", "by-sa", "no-known-copyright", "no-copyright-us")

LABELS = {  # the statements of rightsstatements.org
    "InC": "in copyright",
    "InC-OW-EU": "in copyright eu orphan work",
    "InC-EDU": "in copyright educational use permitted",
    "InC-NC": "in copyright non commercial use permitted",
    "InC-RUU": "in copyright rights holder(s) unlocatable or unidentifiable",
    "NoC-CR": "no copyright contractual restrictions",
    "NoC-NC": "no copyright non commercial use only",
    "NoC-OKLR": "no copyright other known legal restrictions",
    "NoC-US": "no copyright united states",
    "CNE": "copyright not evaluated",
    "UND": "copyright undetermined",
    "NKC": "no known copyright",
}

FLICKR = {  # license ids, with the names that licenses.getInfo gives them
    "0": ("all rights reserved", IN_COPYRIGHT),
    "1": ("attribution noncommercial sharealike license", CC + "licenses/by-nc-sa/2.0/"),
    "2": ("attribution noncommercial license", CC + "licenses/by-nc/2.0/"),
    "3": ("attribution noncommercial noderivs license", CC + "licenses/by-nc-nd/2.0/"),
    "4": ("attribution license", CC + "licenses/by/2.0/"),
    "5": ("attribution sharealike license", CC + "licenses/by-sa/2.0/"),
    "6": ("attribution noderivs license", CC + "licenses/by-nd/2.0/"),
    "7": ("no known copyright restrictions", NO_KNOWN_COPYRIGHT),
    "8": ("united states government work", NO_COPYRIGHT_US),
    "9": ("public domain dedication (cc0)", ZERO),
    "10": ("public domain mark", PUBLIC_DOMAIN),
}

WORK = r"(?:(?:this|the) (?:work|image|photo|photograph|picture|item|file|material) is )?"
US = r"(?:the )?(?:u\.?s\.?a?|united states(?: of america)?)"
USE = r"(?: on (?:publication|reproduction|use|reuse))?"
SEE = r"(?:[.;]? ?for (?:general |more |further )?information,? see (?!.*\b(?:may|except|but|however|unless|not)\b).+)?"
DEDICATION = r"(?: universal)?(?: \(cc0(?: 1\.0)?\))?,?(?: public domain(?: dedication)?)?"

# what a whole statement can read, lower case, hyphens and underscores as spaces -> what it means
TEXTS = [
    (WORK + r"(?:(?:in )?the )?public domain", PUBLIC_DOMAIN),
    (r"(?:cc )?(?:public domain mark|pdm?)(?: 1\.0)?(?: universal)?", PUBLIC_DOMAIN),
    (r"pd (?:old(?: \d+)?(?: (?:auto|expired))*|self|author|user)", PUBLIC_DOMAIN),
    (WORK + r"(?:(?:in )?the )?public domain,? (?:in |\()" + US + r"\)?", NO_COPYRIGHT_US),
    (r"pd us(?:gov(?: \w+){0,3}| expired(?: abroad)?| no notice| not renewed)?", NO_COPYRIGHT_US),
    (WORK + r"(?:a )?(?:work of )?" + US + r"(?: federal)? government(?: work)?", NO_COPYRIGHT_US),
    (r"not in copyright", NO_COPYRIGHT_US),  # how the Internet Archive marks what is free in the United States
    (r"(?:cc )?cc ?(?:0|zero)(?: v?1\.0)?" + DEDICATION, ZERO),
    (r"(?:there are )?no known (?:copyright )?restrictions" + USE + SEE, NO_KNOWN_COPYRIGHT),
    (r"no restrictions", NO_KNOWN_COPYRIGHT),  # how Wikimedia Commons says it
    (r".*\ball rights reserved\b.*", IN_COPYRIGHT),
    (r"copyrighted|copyright protected|(?:protected by|under) copyright", IN_COPYRIGHT),
    *((re.escape(label), STATEMENT.format(code)) for code, label in LABELS.items()),
    *((code.lower().replace("-", " "), STATEMENT.format(code)) for code in LABELS),
    *((rf"{number}|{re.escape(name)}", uri) for number, (name, uri) in FLICKR.items()),
]

# where a URL leads, lower case, without scheme and www. -> what it means
PAGES = [
    (r"creativecommons\.org/publicdomain/mark(?:/1\.0)?(?:/.*)?", PUBLIC_DOMAIN),
    (r"creativecommons\.org/publicdomain/zero(?:/1\.0)?(?:/.*)?", ZERO),
    (r"creativecommons\.org/(?:licenses/publicdomain|publicdomain/certification/1\.0/us)(?:/.*)?", CERTIFICATION),
    *((rf"rightsstatements\.org/(?:vocab|page)/{code.lower()}(?:/.*)?", STATEMENT.format(code)) for code in LABELS),
    (r"flickr\.com/commons/usage/?", NO_KNOWN_COPYRIGHT),
    (r"usa\.gov/(?:government-works|government-copyright|copyright\.shtml)/?", NO_COPYRIGHT_US),
    (r"europeana\.eu/rights/rr-[fpr]/?.*", IN_COPYRIGHT),
]

WORDS = [  # the long names of Creative Commons' elements, and words that add nothing
    (r"creative commons", "cc"),
    (r"attribution", "by"),
    (r"share ?alike", "sa"),
    (r"non ?commercial", "nc"),
    (r"no ?deriv(?:ative)?s?(?: works?)?", "nd"),
    (r"^(?:" + WORK + r"(?:made )?(?:available|licensed|released) )?under (?:an? |the )?(?=cc )", ""),
    (r"^(?:licen[cs]e|rights): ?", ""),
    (r"\b(?:public )?licen[cs]e\b", ""),
    (r"\b(?:unported|international|generic)\b", ""),
]

VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
DEED = re.compile(r"creativecommons\.org/licenses/([a-z-]+)(?:/(\d\.\d))?(?:/([a-z]{2}|igo|scotland)(?=/|$))?(?:/.*)?")
NAME = re.compile(r"(cc )?(by(?: (?:nc|nd|sa))*)(?: v?(\d\.\d)(?:,[\d.,]+)?)?(?: ([a-z]{2}|igo|scotland))?")
TWICE = re.compile(r"([^()]+) \(([^()]+)\)")  # "Attribution 4.0 International (CC BY 4.0)"
LEAD = re.compile(WORK + r"(?:licen[cs]ed?|rights|(?:made )?available|released)?(?: under)?(?: the| an?)?", re.I)
SITE = r"(?:creativecommons|rightsstatements)\.org/"
LINK = re.compile(rf"(?:(?:https?:)?//|\bwww\.|\b(?={SITE}))[^\s<>()\[\]\"']+", re.I)


def normalize(text: str | None, url: str | None) -> str | None:
    """The canonical URI of a license or rights statement, from what a source says in words and by a URL.

    Either may hold the other. Where the two differ in kind, the stricter one counts. None where neither is known.
    """
    return _stricter([uri for said in (url, text) if said and (uri := _recognize(said))])


def kind(uri: str | None) -> str:
    """What a URI that ``normalize`` gave allows in general, one of ``KINDS``."""
    if uri in (PUBLIC_DOMAIN, CERTIFICATION):
        return "public-domain"
    if uri == ZERO:
        return "cc0"
    if uri == NO_COPYRIGHT_US:
        return "no-copyright-us"
    if uri == NO_KNOWN_COPYRIGHT:
        return "no-known-copyright"
    if uri and uri.startswith(STATEMENT.format("InC").removesuffix("/1.0/")):
        return "in-copyright"
    if uri and uri.startswith(CC + "licenses/"):
        elements = uri.removeprefix(CC + "licenses/").partition("/")[0]
        return elements if elements in KINDS else "unknown"
    return "unknown"


class Gate:
    """Which photographs may be downloaded, by kind of rights.

    Raises ValueError, with a sentence, for a kind that does not exist or that forbids adaptations.
    """

    def __init__(self, allowed: Iterable[str] = DEFAULT):
        self.allowed = frozenset(name.strip().lower() for name in allowed)
        if wrong := sorted(self.allowed - set(KINDS)):
            raise ValueError(f"no such kind of rights: {', '.join(wrong)}; there are {', '.join(KINDS)}")
        if forbidding := sorted(name for name in self.allowed if name.endswith("-nd")):
            raise ValueError(
                f"{', '.join(forbidding)} cannot be allowed: these licenses forbid sharing adaptations, "
                "and a colorized photograph is one"
            )

    def allows(self, uri: str | None) -> bool:
        return kind(uri) in self.allowed


def _recognize(said: str) -> str | None:
    said = " ".join(said.split())
    links = LINK.findall(said)
    if not links:
        return _from_text(said)
    found = {_from_link(link) for link in links}
    words = re.sub(r"[(<\[]\s*[)>\]]", "", LINK.sub("", said)).strip(" :;,.-|")
    if len(found) == 1 and (uri := found.pop()) and (LEAD.fullmatch(words) or kind(_from_text(words)) == kind(uri)):
        return uri
    return _from_text(said)


def _from_link(link: str) -> str | None:
    page = re.sub(r"^(?:https?:)?(?://)?(?:www\.)?", "", link.lower())
    page = re.split(r"[?#]", page)[0].rstrip(".,;")
    if uri := _first(PAGES, page):
        return uri
    if deed := DEED.fullmatch(page):
        elements, version, port = deed.groups()
        return _license(elements.split("-"), version, port)
    return None


def _from_text(text: str) -> str | None:
    said = re.sub(r"[\s_–—-]+", " ", text.lower()).strip(" .;,")
    if uri := _first(TEXTS, said):
        return uri
    if twice := TWICE.fullmatch(said):
        both = [uri for half in twice.groups() if (uri := _from_text(half))]
        return _stricter(both) if len(both) == 2 else None
    for long, short in WORDS:
        said = re.sub(long, short, said)
    said = " ".join(said.split())
    name = NAME.fullmatch(said)
    if name and (name[1] or name[3]):  # "Attribution" alone is no license of Creative Commons
        return _license(name[2].split(), name[3], name[4])
    return _first(TEXTS, said)


def _license(elements: list[str], version: str | None, port: str | None) -> str | None:
    """The URI of a Creative Commons license; without a version where none is given."""
    known = "-".join(sorted(elements))  # by, nc, nd, sa: their proper order
    if known not in KINDS or (version and version not in VERSIONS):
        return None
    ported = version and port and version != "4.0"
    return f"{CC}licenses/{known}/" + (f"{version}/" if version else "") + (f"{port}/" if ported else "")


def _stricter(uris: list[str]) -> str | None:
    return max(uris, key=lambda uri: KINDS.index(kind(uri)), default=None)


def _first(table: list[tuple[str, str]], said: str) -> str | None:
    return next((uri for pattern, uri in table if re.fullmatch(pattern, said)), None)
