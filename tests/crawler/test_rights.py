from __future__ import annotations

import pytest

from crawler.rights import DEFAULT, KINDS, Gate, kind, normalize

CC = "https://creativecommons.org/licenses/"
MARK = "https://creativecommons.org/publicdomain/mark/1.0/"
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
NKC = "http://rightsstatements.org/vocab/NKC/1.0/"
INC = "http://rightsstatements.org/vocab/InC/1.0/"
NOC_US = "http://rightsstatements.org/vocab/NoC-US/1.0/"

URLS = [
    ("https://creativecommons.org/licenses/by-sa/4.0/", CC + "by-sa/4.0/", "by-sa"),
    ("http://creativecommons.org/licenses/by-sa/4.0", CC + "by-sa/4.0/", "by-sa"),
    ("//creativecommons.org/licenses/by/2.5/", CC + "by/2.5/", "by"),
    ("creativecommons.org/licenses/by/2.5", CC + "by/2.5/", "by"),
    ("https://www.creativecommons.org/licenses/BY-NC/3.0/", CC + "by-nc/3.0/", "by-nc"),
    ("https://creativecommons.org/licenses/by/4.0/deed.fr", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by/4.0/legalcode", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by/4.0/legalcode.de", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by/4.0/?ref=chooser-v1", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by/4.0/fr/", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by-sa/2.0/de/", CC + "by-sa/2.0/de/", "by-sa"),
    ("https://creativecommons.org/licenses/by-sa/2.0/de/deed.en", CC + "by-sa/2.0/de/", "by-sa"),
    ("http://creativecommons.org/licenses/by-nc-sa/3.0/igo/legalcode", CC + "by-nc-sa/3.0/igo/", "by-nc-sa"),
    ("http://creativecommons.org/licenses/by/2.5/scotland/", CC + "by/2.5/scotland/", "by"),
    ("http://creativecommons.org/licenses/by-nd-nc/1.0/", CC + "by-nc-nd/1.0/", "by-nc-nd"),
    ("http://creativecommons.org/licenses/by-nd/2.0/", CC + "by-nd/2.0/", "by-nd"),
    ("https://creativecommons.org/licenses/by/", CC + "by/", "by"),
    ("https://creativecommons.org/licenses/by/7.0/", None, "unknown"),
    ("https://creativecommons.org/licenses/sampling+/1.0/", None, "unknown"),
    ("https://creativecommons.org/licenses/sa/1.0/", None, "unknown"),
    ("https://creativecommons.org/licenses/by-by/4.0/", None, "unknown"),
    ("https://creativecommons.org/licenses/by-sa-nd/4.0/", None, "unknown"),
    ("https://creativecommons.org/", None, "unknown"),
    ("https://example.org/creativecommons.org/licenses/by/4.0/", None, "unknown"),
    ("https://notcreativecommons.org/licenses/by/4.0/", None, "unknown"),
    ("https://creativecommons.org.example.org/licenses/by/4.0/", None, "unknown"),
    ("http://creativecommons.org/publicdomain/mark/1.0/", MARK, "public-domain"),
    ("https://creativecommons.org/publicdomain/mark/1.0/deed.de", MARK, "public-domain"),
    ("http://creativecommons.org/publicdomain/zero/1.0/", ZERO, "cc0"),
    ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", ZERO, "cc0"),
    ("http://creativecommons.org/licenses/publicdomain/", CC + "publicdomain/", "public-domain"),
    ("https://creativecommons.org/publicdomain/certification/1.0/us/", CC + "publicdomain/", "public-domain"),
    ("http://rightsstatements.org/vocab/InC/1.0/", INC, "in-copyright"),
    ("https://rightsstatements.org/page/InC/1.0/?language=en", INC, "in-copyright"),
    ("http://rightsstatements.org/vocab/InC-EDU/1.0/", INC.replace("InC", "InC-EDU"), "in-copyright"),
    ("rightsstatements.org/vocab/noc-us/1.0", NOC_US, "no-copyright-us"),
    ("https://rightsstatements.org/vocab/NKC/1.0/", NKC, "no-known-copyright"),
    ("http://rightsstatements.org/vocab/NoC-NC/1.0/", INC.replace("InC", "NoC-NC"), "unknown"),
    ("http://rightsstatements.org/vocab/NoC-OKLR/1.0/", INC.replace("InC", "NoC-OKLR"), "unknown"),
    ("http://rightsstatements.org/vocab/UND/1.0/", INC.replace("InC", "UND"), "unknown"),
    ("http://rightsstatements.org/vocab/CNE/1.0/", INC.replace("InC", "CNE"), "unknown"),
    ("http://rightsstatements.org/vocab/Nothing/1.0/", None, "unknown"),
    ("https://www.flickr.com/commons/usage/", NKC, "no-known-copyright"),
    ("https://www.usa.gov/government-works", NOC_US, "no-copyright-us"),
    ("http://www.europeana.eu/rights/rr-f/", INC, "in-copyright"),
    ("https://www.loc.gov/rr/print/res/274_bain.html", None, "unknown"),
    ("https://www.gnu.org/copyleft/fdl.html", None, "unknown"),
    ("not a url", None, "unknown"),
    ("", None, "unknown"),
]

TEXTS = [
    ("CC BY-SA 4.0", CC + "by-sa/4.0/", "by-sa"),
    ("cc by sa 4.0", CC + "by-sa/4.0/", "by-sa"),
    ("CC-BY-SA-3.0,2.5,2.0,1.0", CC + "by-sa/3.0/", "by-sa"),
    ("CC BY-SA 3.0 de", CC + "by-sa/3.0/de/", "by-sa"),
    ("CC BY 3.0 igo", CC + "by/3.0/igo/", "by"),
    ("CC_BY_2.5", CC + "by/2.5/", "by"),
    ("CC-BY", CC + "by/", "by"),
    ("CC BY-NC-ND 4.0", CC + "by-nc-nd/4.0/", "by-nc-nd"),
    ("Attribution-ShareAlike 4.0 International", CC + "by-sa/4.0/", "by-sa"),
    ("Attribution-NonCommercial-NoDerivatives 4.0 International", CC + "by-nc-nd/4.0/", "by-nc-nd"),
    ("Creative Commons Attribution-Share Alike 3.0 Unported", CC + "by-sa/3.0/", "by-sa"),
    ("Creative Commons Attribution 2.0 Generic License", CC + "by/2.0/", "by"),
    ("Creative Commons Attribution 4.0 International (CC BY 4.0)", CC + "by/4.0/", "by"),
    ("Creative Commons — Attribution 4.0 International — CC BY 4.0", None, "unknown"),
    (
        "This work is licensed under a Creative Commons Attribution-NonCommercial 4.0 International License.",
        CC + "by-nc/4.0/",
        "by-nc",
    ),
    ("Attribution 4.0 International (CC BY 4.0): https://creativecommons.org/licenses/by/4.0/.", CC + "by/4.0/", "by"),
    ("CC BY 4.0 <https://creativecommons.org/licenses/by/4.0/>", CC + "by/4.0/", "by"),
    ("CC BY-ND 4.0 https://creativecommons.org/licenses/by/4.0/", None, "unknown"),
    ("License: CC BY 4.0", CC + "by/4.0/", "by"),
    ("CC BY 4.0 https://creativecommons.org/licenses/by/4.0/", CC + "by/4.0/", "by"),
    ("CC BY 4.0 (http://creativecommons.org/licenses/by/4.0/deed.en)", CC + "by/4.0/", "by"),
    ("Licensed under https://creativecommons.org/licenses/by/4.0/", CC + "by/4.0/", "by"),
    ("https://creativecommons.org/licenses/by/4.0/", CC + "by/4.0/", "by"),
    ("Not licensed under https://creativecommons.org/licenses/by/4.0/", None, "unknown"),
    ("Metadata: CC0 https://creativecommons.org/publicdomain/zero/1.0/", None, "unknown"),
    ("CC BY 4.0 for members, otherwise CC BY-ND 4.0", None, "unknown"),
    ("CC BY-ND-SA 4.0", None, "unknown"),
    ("CC SA 1.0", None, "unknown"),
    ("CC BY 9.9", None, "unknown"),
    ("Attribution", None, "unknown"),
    ("No derivatives", None, "unknown"),
    ("BY", None, "unknown"),
    ("CC", None, "unknown"),
    ("CC0", ZERO, "cc0"),
    ("CC-Zero", ZERO, "cc0"),
    ("CC0 (Public Domain)", ZERO, "cc0"),
    ("Public domain (no known copyright restrictions)", NKC, "no-known-copyright"),
    ("Public domain (disputed)", None, "unknown"),
    ("Public domain (CC BY-ND 4.0)", CC + "by-nd/4.0/", "by-nd"),
    ("CC0 1.0 Universal", ZERO, "cc0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", ZERO, "cc0"),
    ("Creative Commons Zero, Public Domain Dedication", ZERO, "cc0"),
    ("Creative Commons CC0", ZERO, "cc0"),
    ("Public domain", MARK, "public-domain"),
    ("  PUBLIC\n domain. ", MARK, "public-domain"),
    ("This image is in the public domain.", MARK, "public-domain"),
    ("In the public domain", MARK, "public-domain"),
    ("Public Domain Mark 1.0", MARK, "public-domain"),
    ("PD", MARK, "public-domain"),
    ("PDM", MARK, "public-domain"),
    ("CC PDM 1.0", MARK, "public-domain"),
    ("PD-old-70", MARK, "public-domain"),
    ("PD-old-auto-expired", MARK, "public-domain"),
    ("PD-self", MARK, "public-domain"),
    ("Not in the public domain", None, "unknown"),
    ("Not public domain", None, "unknown"),
    ("Probably public domain", None, "unknown"),
    ("Public domain?", None, "unknown"),
    ("Public domain in Japan", None, "unknown"),
    ("Public domain, except for the frame", None, "unknown"),
    ("PD-US", NOC_US, "no-copyright-us"),
    ("PD-US-expired", NOC_US, "no-copyright-us"),
    ("PD-USGov-NASA", NOC_US, "no-copyright-us"),
    ("PD-USSR", None, "unknown"),
    ("PD-US, disputed", None, "unknown"),
    ("Public domain in the United States", NOC_US, "no-copyright-us"),
    ("No Copyright - United States", NOC_US, "no-copyright-us"),
    ("NoC-US", NOC_US, "no-copyright-us"),
    ("NOT_IN_COPYRIGHT", NOC_US, "no-copyright-us"),
    ("United States Government Work", NOC_US, "no-copyright-us"),
    ("No known copyright restrictions", NKC, "no-known-copyright"),
    ("No known copyright restrictions.", NKC, "no-known-copyright"),
    ("No restrictions", NKC, "no-known-copyright"),
    ("No known restrictions on publication.", NKC, "no-known-copyright"),
    (
        "No known restrictions on publication. For more information, see George Grantham Bain Collection - "
        "Rights and Restrictions Information https://www.loc.gov/rr/print/res/274_bain.html",
        NKC,
        "no-known-copyright",
    ),
    (
        "No known restrictions. For information, see U.S. Farm Security Administration/Office of War Information "
        "Color Photographs https://www.loc.gov/rr/print/res/071_fsab.html",
        NKC,
        "no-known-copyright",
    ),
    ("No known restrictions on publication, but the sitter may have rights", None, "unknown"),
    (
        "No known restrictions on publication in the U.S. Use elsewhere may be restricted by other countries' laws.",
        None,
        "unknown",
    ),
    ("No known restrictions on publication. For information see the donor, who may object", None, "unknown"),
    ("Publication may be restricted. For general information see https://www.loc.gov/rr/print/", None, "unknown"),
    ("Rights status not evaluated", None, "unknown"),
    ("No copyright information available", None, "unknown"),
    ("Copyright Undetermined", INC.replace("InC", "UND"), "unknown"),
    ("No Copyright - Non-Commercial Use Only", INC.replace("InC", "NoC-NC"), "unknown"),
    ("All rights reserved", INC, "in-copyright"),
    ("© 2019 The Estate. All rights reserved.", INC, "in-copyright"),
    ("All Rights Reserved by the photographer, CC BY on request", INC, "in-copyright"),
    ("In Copyright", INC, "in-copyright"),
    ("InC", INC, "in-copyright"),
    ("IN_COPYRIGHT", INC, "in-copyright"),
    ("In Copyright - Educational Use Permitted", INC.replace("InC", "InC-EDU"), "in-copyright"),
    ("Some rights reserved", None, "unknown"),
    ("Copyrighted free use", None, "unknown"),
    ("GFDL", None, "unknown"),
    ("FAL", None, "unknown"),
    ("Fair use", None, "unknown"),
    ("Free to use", None, "unknown"),
    ("unknown", None, "unknown"),
    ("   ", None, "unknown"),
    ("", None, "unknown"),
]

FLICKR = ["in-copyright", "by-nc-sa", "by-nc", "by-nc-nd", "by", "by-sa", "by-nd", "no-known-copyright",
          "no-copyright-us", "cc0", "public-domain"]  # fmt: skip


@pytest.mark.parametrize(("url", "uri", "what"), URLS)
def test_urls_become_canonical(url, uri, what):
    assert normalize(None, url) == uri
    assert kind(uri) == what


@pytest.mark.parametrize(("text", "uri", "what"), TEXTS)
def test_words_become_a_uri_only_as_a_whole(text, uri, what):
    assert normalize(text, None) == uri
    assert kind(uri) == what


@pytest.mark.parametrize("uri", sorted({uri for _, uri, _ in URLS + TEXTS if uri}))
def test_a_canonical_uri_stays_as_it_is(uri):
    assert normalize(None, uri) == normalize(uri, None) == normalize(uri, uri) == uri


@pytest.mark.parametrize(("number", "what"), list(enumerate(FLICKR)))
def test_flickr_numbers_its_licenses(number, what):
    assert kind(normalize(str(number), None)) == what


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("Attribution License", CC + "by/2.0/"),
        ("Attribution-NonCommercial-ShareAlike License", CC + "by-nc-sa/2.0/"),
        ("Attribution-NoDerivs License", CC + "by-nd/2.0/"),
        ("No known copyright restrictions", NKC),
        ("Public Domain Dedication (CC0)", ZERO),
        ("Public Domain Mark", MARK),
    ],
)
def test_flickr_names_its_licenses(name, uri):
    assert normalize(name, None) == uri


def test_words_and_url_complete_each_other():
    assert normalize("Copyright 2004, see the link", "http://creativecommons.org/licenses/by/2.0/") == CC + "by/2.0/"
    assert normalize("CC BY-SA 3.0", "https://example.org/terms") == CC + "by-sa/3.0/"
    assert normalize("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/at/") == CC + "by-sa/3.0/at/"
    assert normalize(None, None) is None


@pytest.mark.parametrize(
    ("text", "url", "uri"),
    [
        ("All rights reserved", CC + "by/4.0/", INC),
        ("Public domain", CC + "by-nc/4.0/", CC + "by-nc/4.0/"),
        ("CC BY-ND 4.0", ZERO, CC + "by-nd/4.0/"),
        ("Copyright undetermined", MARK, INC.replace("InC", "UND")),
    ],
)
def test_the_stricter_of_two_statements_counts(text, url, uri):
    assert normalize(text, url) == uri


@pytest.mark.parametrize("uri", [None, "", "CC BY 4.0", "https://example.org/", CC + "sampling+/1.0/"])
def test_what_normalize_does_not_give_is_unknown(uri):
    assert kind(uri) == "unknown"


def test_the_default_gate():
    gate = Gate(DEFAULT)
    assert all(gate.allows(uri) for uri in (MARK, ZERO, NKC, NOC_US, CC + "by/4.0/", CC + "by-sa/3.0/de/"))
    strict = (None, INC, CC + "by-nc/4.0/", CC + "by-nc-sa/4.0/", CC + "by-nd/4.0/", INC.replace("InC", "UND"))
    assert not any(gate.allows(uri) for uri in strict)


def test_a_gate_of_ones_own():
    gate = Gate([" BY-NC", "unknown"])
    assert gate.allows(CC + "by-nc/4.0/")
    assert gate.allows(None)
    assert not gate.allows(ZERO)


@pytest.mark.parametrize("name", [k for k in KINDS if k.endswith("-nd")])
def test_no_gate_lets_no_derivatives_through(name):
    with pytest.raises(ValueError, match="forbid sharing adaptations"):
        Gate([*DEFAULT, name])


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no such kind of rights: pubic-domain; there are public-domain, cc0"):
        Gate(["pubic-domain"])
