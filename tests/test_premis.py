"""The PREMIS event of a photo: its semantic units, its outcome, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from datetime import datetime, timedelta

import pytest
from outputs import record

from colorize_core import __version__
from colorize_core.premis import event

VOCABULARY = "http://id.loc.gov/vocabulary/preservation/"


def colorized(**values):
    """A record as Put settles it."""
    key = values.pop("key", "box 1/scan.tif")
    return record(
        key,
        model="autochrome",
        model_digest="ab" * 32,
        output_key=f"photos/{key}.jpg",
        output_uri=f"s3://archive/color/photos/{key}.jpg",
        **values,
    )


def test_an_event_has_what_the_data_dictionary_requires_and_says_who_made_what_from_what():
    found = json.loads(event(colorized()))
    assert set(found) == {
        "eventIdentifier", "eventType", "eventDateTime", "eventDetailInformation", "eventOutcomeInformation",
        "linkingAgentIdentifier", "linkingObjectIdentifier",
    }  # fmt: skip
    assert found["eventIdentifier"]["eventIdentifierType"] == "UUID"
    assert uuid.UUID(found["eventIdentifier"]["eventIdentifierValue"]).version == 5
    assert found["eventType"] == f"{VOCABULARY}eventType/cre"
    assert datetime.fromisoformat(found["eventDateTime"]) == colorized().finished_at
    assert found["eventOutcomeInformation"] == {"eventOutcome": f"{VOCABULARY}eventOutcome/suc"}
    agents = {
        a["linkingAgentIdentifierType"]: a["linkingAgentIdentifierValue"] for a in found["linkingAgentIdentifier"]
    }
    assert agents == {"software": f"Autochrome {__version__}", "model": f"autochrome, weights SHA-256 {'ab' * 32}"}
    assert {a["linkingAgentRole"] for a in found["linkingAgentIdentifier"]} == {
        f"{VOCABULARY}eventRelatedAgentRole/exe"
    }
    roles = {o["linkingObjectRole"]: o["linkingObjectIdentifierValue"] for o in found["linkingObjectIdentifier"]}
    assert roles == {
        f"{VOCABULARY}eventRelatedObjectRole/sou": "file:///scans/box 1/scan.tif",
        f"{VOCABULARY}eventRelatedObjectRole/out": "s3://archive/color/photos/box 1/scan.tif.jpg",
    }


@pytest.mark.parametrize("status, outcome", [("rejected", "fai"), ("failed", "fai"), ("skipped_color", "war")])
def test_an_attempt_without_a_result_is_an_event_without_an_outcome_object(status, outcome):
    error = {} if status == "skipped_color" else {"error_class": "truncated", "error_message": "the file ends early"}
    found = json.loads(event(record("a.tif", status=status, **error)))
    assert found["eventOutcomeInformation"]["eventOutcome"] == f"{VOCABULARY}eventOutcome/{outcome}"
    note = found["eventOutcomeInformation"]["eventOutcomeDetail"]["eventOutcomeDetailNote"]
    assert note == (f"{status}: truncated: the file ends early" if error else status)
    assert [o["linkingObjectRole"][-3:] for o in found["linkingObjectIdentifier"]] == ["sou"]


def test_a_record_has_one_event_and_another_attempt_another():
    photo = colorized()
    assert event(photo) == event(dataclasses.replace(photo, ms_put=3.0, host="elsewhere"))
    later = dataclasses.replace(photo, finished_at=photo.finished_at + timedelta(seconds=1))
    others = [
        colorized(page=1),
        colorized(source_etag="2"),
        colorized(recipe="s"),
        colorized(run="r2"),
        colorized(key="b"),
    ]
    identifiers = [json.loads(event(r))["eventIdentifier"]["eventIdentifierValue"] for r in (photo, later, *others)]
    assert identifiers[0] == identifiers[1] and len(set(identifiers)) == 6
    assert "page 2" in json.loads(event(colorized(page=1)))["eventDetailInformation"]["eventDetail"]


def test_an_event_is_cheap():
    photo = colorized(key="حيوانات/" + "x" * 200 + ".tif")
    began = time.perf_counter()
    for _ in range(200):
        event(photo)
    assert (time.perf_counter() - began) / 200 < 500e-6  # 12 microseconds on an idle machine
    assert len(event(photo)) < 2000
