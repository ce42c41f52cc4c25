"""PREMIS 3: masters and derivatives as objects, restorations and reviews as events, and who took part as agents.

Elements and their order are those of the schema of the Library of Congress, version 3.0 of 18 January 2016.
"""

from __future__ import annotations

import re
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxml import etree

from oldphoto_core.reports.exports.dublin_core import description
from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, object_url
from oldphoto_core.reviews.states import STATES

if TYPE_CHECKING:
    from oldphoto_core.reviews.decision import Decision
    from oldphoto_core.storage import Bucket

DOCUMENT = "premis.xml"
NAMESPACE = "http://www.loc.gov/premis/v3"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Element = Any
"""Of lxml, which has no types."""


class Premis(Form):
    """One document; its objects and events are collected in two files, since objects stand before events."""

    def __init__(self, folder: Path, target: str) -> None:
        self._target = target
        self._path, self._events_path = folder / DOCUMENT, folder / "events.xml"
        self._objects, self._events = _Document(self._path), _Document(self._events_path)
        self._agents: dict[str, Element] = {}

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
        for _, event in etree.iterparse(self._events_path, tag=_named("event"), resolve_entities=False):
            self._objects.write(event)
            event.clear()
            while event.getprevious() is not None:  # those that are written are not held in memory
                del event.getparent()[0]
        for _, agent in sorted(self._agents.items()):
            self._objects.write(agent)
        self._objects.close()
        place.upload(DOCUMENT, self._path)
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
            if identifier not in self._agents:
                self._agents[identifier] = _agent(identifier, name, kind, version)
        return [(identifier, role) for identifier, *_, role in taking_part]


def _object(
    photo: RecordedPhoto, part: str, identifier: str, made_by: Element = None, relation: Element = None
) -> Element:
    facts = photo.record[part]
    characteristics = _element(
        "objectCharacteristics",
        _element("fixity", _text("messageDigestAlgorithm", "SHA-256"), _text("messageDigest", facts["sha256"])),
        _text("size", facts["bytes"]) if "bytes" in facts else None,
        _element("format", _element("formatDesignation", _text("formatName", photo.media_type(part)))),
        made_by,
    )
    name = _text("originalName", photo.key if part == "source" else facts["key"])
    found = _element("object", _identifier("object", "URI", identifier), characteristics, name, relation)
    found.set(f"{{{_INSTANCE}}}type", "file")
    return found


def _created(record: dict[str, Any]) -> Element:
    return _element(
        "creatingApplication",
        _text("creatingApplicationName", "oldphoto"),
        _text("creatingApplicationVersion", record["software"]["oldphoto"]),
        _text("dateCreatedByApplication", record["time"]),
    )


def _derived(master: str, event: str) -> Element:
    return _element(
        "relationship",
        _text("relationshipType", "derivation"),
        _text("relationshipSubType", "has source"),
        _identifier("relatedObject", "URI", master),
        _identifier("relatedEvent", "UUID", event),
    )


def _event(
    photo: RecordedPhoto, identifier: str, master: str, derivative: str, agents: list[tuple[str, str]]
) -> Element:
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


def _review(decision: Decision, derivative: str, sha256: str, reviewer: str) -> Element:
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


def _agent(identifier: str, name: str, kind: str, version: str) -> Element:
    return _element(
        "agent",
        _identifier("agent", "local", identifier),
        _text("agentName", name),
        _text("agentType", kind) if kind else None,
        _text("agentVersion", version) if version else None,
    )


def _identifier(of: str, kind: str, value: str, *more: Element) -> Element:
    name = f"{of}Identifier"
    return _element(name, _text(f"{name}Type", kind), _text(f"{name}Value", value), *more)


def _text(name: str, value: object) -> Element:
    element = etree.Element(_named(name))
    element.text = _NOT_IN_XML.sub(_REPLACEMENT, str(value))
    return element


def _element(name: str, *children: Element) -> Element:
    """Of what there is of the children: None stands for one that is not."""
    element = etree.Element(_named(name))
    element.extend(child for child in children if child is not None)
    return element


def _named(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


class _Document:
    """A document whose elements are written one a line, so that none of them is held in memory.

    One that fails is left as it is: closing it would write once more.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
        self._open = ExitStack()
        self._xml = self._open.enter_context(etree.xmlfile(self._file, encoding="UTF-8"))
        spaces = {None: NAMESPACE, "xsi": _INSTANCE}
        self._open.enter_context(self._xml.element(_named("premis"), version="3.0", nsmap=spaces))
        self._xml.write("\n")

    def write(self, element: Element) -> None:
        """Adds an element."""
        self._put(element)
        self._xml.write("\n")

    def close(self) -> None:
        """The document is whole."""
        self._open.close()
        self._file.write(b"\n")
        self._file.close()

    def _put(self, element: Element) -> None:
        # written as a whole, each element would declare its namespaces again
        with self._xml.element(element.tag, element.attrib):
            if element.text:
                self._xml.write(element.text)
            for child in element:
                self._put(child)
