"""The PREMIS event of a photo: the attempt to make a color derivative, in the words of preservation systems.

Semantic units are those of the PREMIS Data Dictionary 3.0, written as JSON under their own names; controlled values are
URIs of the Library of Congress's preservation vocabularies. The event is a *creation*: a new object comes into being
and the scan stays as it was, so that nothing is modified, migrated or normalized.
"""

from __future__ import annotations

import json
import uuid

from colorize_core import __version__
from colorize_core.records import Record, Status

VOCABULARY = "http://id.loc.gov/vocabulary/preservation/"
CREATION = f"{VOCABULARY}eventType/cre"
EXECUTING_PROGRAM = f"{VOCABULARY}eventRelatedAgentRole/exe"
SOURCE = f"{VOCABULARY}eventRelatedObjectRole/sou"
OUTCOME = f"{VOCABULARY}eventRelatedObjectRole/out"
OUTCOMES = {
    Status.COLORIZED: f"{VOCABULARY}eventOutcome/suc",
    Status.SKIPPED_COLOR: f"{VOCABULARY}eventOutcome/war",  # nothing was made, and nothing went wrong
    Status.REJECTED: f"{VOCABULARY}eventOutcome/fai",
    Status.FAILED: f"{VOCABULARY}eventOutcome/fai",
}


def event(record: Record) -> str:
    """The event of a settled record, as compact JSON.

    Its identifier is a UUID of version 5 over the photo, its version, the recipe and the run: the same record gives the
    same event. Each attempt has one, whatever became of it; the status and the reason are in its outcome. Pages of one
    file share the source object and are told apart in the detail.
    """
    identity = "\n".join((record.source_uri, str(record.page), record.source_etag, record.recipe, record.run))
    weights = f"{record.model}, weights SHA-256 {record.model_digest}"
    outcome: dict = {"eventOutcome": OUTCOMES[Status(record.status)]}
    if record.status != Status.COLORIZED:
        note = ": ".join(filter(None, (record.status, record.error_class, record.error_message)))
        outcome["eventOutcomeDetail"] = {"eventOutcomeDetailNote": note}
    objects = [_object(record.source_uri, SOURCE)]
    if record.status == Status.COLORIZED and record.output_uri:
        objects.append(_object(record.output_uri, OUTCOME))
    found = {
        "eventIdentifier": {
            "eventIdentifierType": "UUID",
            "eventIdentifierValue": str(uuid.uuid5(uuid.NAMESPACE_URL, identity)),
        },
        "eventType": CREATION,
        "eventDateTime": record.finished_at.isoformat(timespec="milliseconds") if record.finished_at else None,
        "eventDetailInformation": {
            "eventDetail": f"color derivative of page {record.page + 1}; colors predicted by a model; "
            f"recipe {record.recipe}, run {record.run}"
        },
        "eventOutcomeInformation": outcome,
        "linkingAgentIdentifier": [_agent("software", f"Autochrome {__version__}"), _agent("model", weights)],
        "linkingObjectIdentifier": objects,
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _agent(kind: str, value: str) -> dict:
    return {
        "linkingAgentIdentifierType": kind,
        "linkingAgentIdentifierValue": value,
        "linkingAgentRole": EXECUTING_PROGRAM,
    }


def _object(uri: str, role: str) -> dict:
    return {
        "linkingObjectIdentifierType": "URI",
        "linkingObjectIdentifierValue": uri,
        "linkingObjectRole": role,
    }
