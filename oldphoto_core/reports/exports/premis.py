"""PREMIS 3: masters and derivatives as objects, restorations and reviews as events, and who took part as agents.

Elements and their order are those of the schema of the Library of Congress, version 3.0 of 18 January 2016.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from oldphoto_core.reports.exports.dublin_core import description
from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, object_url
from oldphoto_core.reviews.states import STATES

if TYPE_CHECKING:
    from oldphoto_core.reviews.decision import Decision
    from oldphoto_core.storage import Bucket

DOCUMENT = "premis.xml"
NAMESPACE = "http://www.loc.gov/premis/v3"
_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<premis xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0">
"""
_TAIL = "</premis>\n"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Premis(Form):
    """One document; its objects and events are collected in two files, since objects stand before events."""

    def __init__(self, folder: Path, target: str) -> None:
        self._target = target
        self._document = folder / DOCUMENT
        self._events_path = folder / "events.xml"
        self._objects = self._document.open("w", encoding="utf-8")
        self._events = self._events_path.open("w", encoding="utf-8")
        self._agents: dict[str, str] = {}
        self._objects.write(_HEAD)

    def add(self, photo: RecordedPhoto) -> None:
        """Its master, its derivative, the event between them, and an event for each decision about it."""
        record = photo.record
        master = object_url(record["source"]["bucket"], photo.key)
        derivative = object_url(self._target, record["derivative"]["key"])
        event = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{derivative}#{record['run_id']}"))
        self._objects.write(_object(photo, "source", master))
        self._objects.write(_object(photo, "derivative", derivative, _created(record), _derived(master, event)))
        self._events.write(_event(photo, event, master, derivative, self._agents_of(record)))
        for decision in photo.decisions:
            reviewer = f"reviewer {decision.reviewer}"
            self._agents[reviewer] = _agent(reviewer, decision.reviewer, "", "")
            self._events.write(_review(decision, derivative, record["derivative"]["sha256"], reviewer))

    def write(self, place: Bucket) -> list[str]:
        """`premis.xml`."""
        self._events.close()
        with self._events_path.open(encoding="utf-8") as events:
            for event in events:
                self._objects.write(event)
        self._objects.writelines(agent for _, agent in sorted(self._agents.items()))
        self._objects.write(_TAIL)
        self._objects.close()
        place.upload(DOCUMENT, self._document)
        return [DOCUMENT]

    def _agents_of(self, record: dict[str, Any]) -> list[tuple[str, str]]:
        """Identifiers and roles; the agents themselves are kept for the end."""
        version, model, operator = record["software"]["oldphoto"], record["model"], record.get("operator")
        taking_part = [(f"oldphoto {version}", "oldphoto", "software", version, "executing program")]
        if record["status"] == "restored":
            named = f"model sha256:{model['digest']}"
            taking_part.append((named, f"model {model['name']}", "software", model["digest"], "executing program"))
        if operator:
            taking_part.append((f"operator {operator}", operator, "", "", "implementer"))
        for identifier, name, kind, version, _ in taking_part:
            self._agents[identifier] = _agent(identifier, name, kind, version)
        return [(identifier, role) for identifier, *_, role in taking_part]


def _object(photo: RecordedPhoto, part: str, identifier: str, made_by: str = "", relations: str = "") -> str:
    facts = photo.record[part]
    characteristics = _element(
        "objectCharacteristics",
        _element("fixity", _text("messageDigestAlgorithm", "SHA-256") + _text("messageDigest", facts["sha256"])),
        _text("size", facts["bytes"]) if "bytes" in facts else "",
        _element("format", _element("formatDesignation", _text("formatName", photo.media_type(part)))),
        made_by,
    )
    name = _text("originalName", photo.key if part == "source" else facts["key"])
    return _element(
        "object", _identifier("object", "URI", identifier), characteristics, name, relations, **{"xsi:type": "file"}
    )


def _created(record: dict[str, Any]) -> str:
    return _element(
        "creatingApplication",
        _text("creatingApplicationName", "oldphoto"),
        _text("creatingApplicationVersion", record["software"]["oldphoto"]),
        _text("dateCreatedByApplication", record["time"]),
    )


def _derived(master: str, event: str) -> str:
    return _element(
        "relationship",
        _text("relationshipType", "derivation"),
        _text("relationshipSubType", "has source"),
        _identifier("relatedObject", "URI", master),
        _identifier("relatedEvent", "UUID", event),
    )


def _event(photo: RecordedPhoto, identifier: str, master: str, derivative: str, agents: list[tuple[str, str]]) -> str:
    # "creation" and "replication" are terms of the Library of Congress's vocabulary of events
    kind, outcome = ("creation", "restored") if photo.is_restored else ("replication", "copied")
    warnings = [_element("eventOutcomeDetail", _text("eventOutcomeDetailNote", it)) for it in photo.record["warnings"]]
    links = [_identifier("linkingAgent", "local", name, _text("linkingAgentRole", role)) for name, role in agents]
    objects = [
        _identifier("linkingObject", "URI", url, _text("linkingObjectRole", role))
        for url, role in ((master, "source"), (derivative, "outcome"))
    ]
    return _element(
        "event",
        _identifier("event", "UUID", identifier),
        _text("eventType", kind),
        _text("eventDateTime", photo.record["time"]),
        _element("eventDetailInformation", _text("eventDetail", description(photo))),
        _element("eventOutcomeInformation", _text("eventOutcome", outcome), *warnings),
        *links,
        *objects,
    )


def _review(decision: Decision, derivative: str, sha256: str, reviewer: str) -> str:
    """The event of one decision."""
    # of the Library of Congress's vocabularies, "validation" is the event nearest to a review, and "validator" the role
    notes = [decision.note] if decision.note.strip() else []
    if decision.seen != sha256:
        notes.append(
            f"about an earlier derivative, sha256 {decision.seen}" if decision.seen else "without a derivative"
        )
    if decision.mask:
        notes.append(f"mask corrected, sha256 {decision.mask}")
    if decision.protected:
        notes.append(f"protected regions (left, top, width, height): {[*map(list, decision.protected)]}")
    identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{derivative}#decision-{decision.number}-{decision.id}"))
    details = [_element("eventOutcomeDetail", _text("eventOutcomeDetailNote", note)) for note in notes]
    return _element(
        "event",
        _identifier("event", "UUID", identifier),
        _text("eventType", "validation"),
        _text("eventDateTime", decision.time),
        _element("eventDetailInformation", _text("eventDetail", f"quality review, decision {decision.number}")),
        _element("eventOutcomeInformation", _text("eventOutcome", STATES[decision.verdict]), *details),
        _identifier("linkingAgent", "local", reviewer, _text("linkingAgentRole", "validator")),
        _identifier("linkingObject", "URI", derivative, _text("linkingObjectRole", "source")),
    )


def _agent(identifier: str, name: str, kind: str, version: str) -> str:
    return _element(
        "agent",
        _identifier("agent", "local", identifier),
        _text("agentName", name),
        _text("agentType", kind) if kind else "",
        _text("agentVersion", version) if version else "",
    )


def _identifier(of: str, kind: str, value: str, *more: str) -> str:
    name = f"{of}Identifier"
    return _element(name, _text(f"{name}Type", kind), _text(f"{name}Value", value), *more).rstrip("\n")


def _text(name: str, value: object) -> str:
    return f"<{name}>{escape(_NOT_IN_XML.sub(_REPLACEMENT, str(value)))}</{name}>"


def _element(name: str, *children: str, **attributes: str) -> str:
    given = "".join(f" {attribute}={quoteattr(value)}" for attribute, value in attributes.items())
    end = "\n" if name in ("object", "event", "agent") else ""
    return f"<{name}{given}>{''.join(children)}</{name}>{end}"
