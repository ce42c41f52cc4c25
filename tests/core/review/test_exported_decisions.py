"""PREMIS, BagIt, IIIF and Dublin Core carry what curators decided, also after the records were written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
import xmlschema
from runs import put, restore

from oldphoto_core.reports.exports.run import ExportOptions, ExportResult, export_records
from oldphoto_core.reports.record import record_schema
from oldphoto_core.reviews.corrected import store_mask
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket

P = "{http://www.loc.gov/premis/v3}"
REPORTS = Path(__file__).parents[1] / "reports"
EVERYTHING = ExportOptions(
    premis=True,
    bagit=True,
    dublin_core=True,
    iiif="https://archive.example/new",
    originals="https://archive.example/old",
)
KEYS = ["a.png", "b.png", "c.png", "d.png"]
PROTECTED = ((0, 0, 5, 5),)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    """Four photos, restored once."""
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    put(source, KEYS)
    restore(source, target, model="detect")
    return source, target


def decide(target: Bucket, key: str, verdict: Any, **more: Any) -> Decision:
    seen = json.loads(target.read(f"records/{key}.json"))["derivative"]["sha256"]
    return Reviews(target).add(Decision(key=key, verdict=verdict, reviewer='Ada & "Bo"', seen=seen, **more))


@pytest.fixture
def decided(places: tuple[Bucket, Bucket]) -> Bucket:
    """One photo accepted, one rejected, one sent back and restored again; nobody looked at the last one."""
    source, target = places
    decide(target, "a.png", "accept", note="as it should be")
    decide(target, "b.png", "reject")
    mask = store_mask(target, "c.png", np.eye(40, 60, dtype=bool))
    decide(target, "c.png", "redo", mask=mask, protected=PROTECTED, note="the sky <is> blotched")
    restore(source, target, model="detect", reviews=True)
    return target


def exported(target: Bucket) -> ExportResult:
    return export_records(target, "", EVERYTHING)


def events(target: Bucket) -> list[ElementTree.Element]:
    document = target.read("exports/premis.xml")
    xmlschema.XMLSchema(str(REPORTS / "premis-3.0.xsd")).validate(document.decode())
    found = ElementTree.fromstring(document).iter(f"{P}event")
    return [event for event in found if event.findtext(f"{P}eventType") == "validation"]


def texts(element: ElementTree.Element, name: str) -> list[str]:
    return [str(found.text) for found in element.iter(f"{P}{name}")]


def test_each_decision_is_an_event_of_the_derivative_by_its_reviewer(decided: Bucket) -> None:
    exported(decided)
    found = {Path(texts(event, "linkingObjectIdentifierValue")[0]).name: event for event in events(decided)}
    assert {key: texts(event, "eventOutcome") for key, event in found.items()} == {
        "a.png": ["accepted"],
        "b.png": ["rejected"],
        "c.png": ["sent back"],
    }
    assert texts(found["a.png"], "linkingAgentIdentifierValue") == ['reviewer Ada & "Bo"']
    assert texts(found["a.png"], "linkingAgentRole") == ["validator"]
    assert texts(found["a.png"], "eventOutcomeDetailNote") == ["as it should be"]
    notes = texts(found["c.png"], "eventOutcomeDetailNote")
    assert [note.split(",")[0].split(" (")[0] for note in notes] == [
        "the sky <is> blotched",
        "about an earlier derivative",
        "mask corrected",
        "protected regions",
    ]


def test_the_record_and_the_export_name_the_decision_that_a_derivative_answers(decided: Bucket) -> None:
    record = json.loads(decided.read("records/c.png.json"))
    jsonschema.validate(record, record_schema(), jsonschema.Draft202012Validator)
    last = Reviews(decided).last("c.png")
    assert last is not None
    assert (record["review"]["number"], record["review"]["id"]) == (1, last.id)
    exported(decided)
    document = decided.read("exports/premis.xml").decode()
    assert document.count('answers decision 1 (redo) of Ada &amp; "Bo"') == 1


def test_records_of_versions_that_did_not_name_the_decision_stay_valid(decided: Bucket) -> None:
    record = json.loads(decided.read("records/c.png.json"))
    del record["review"]["id"]
    jsonschema.validate(record, record_schema(), jsonschema.Draft202012Validator)


def test_a_manifest_tells_decisions_and_offers_no_rejected_derivative(decided: Bucket) -> None:
    exported(decided)
    manifest = json.loads(decided.read("exports/iiif-manifest.json"))
    schema = json.loads((REPORTS / "iiif_manifest.json").read_text())
    jsonschema.validate(manifest, schema, jsonschema.Draft202012Validator)
    rows = [{row["label"]["en"][0]: row["value"]["en"][0] for row in each["metadata"]} for each in manifest["items"]]
    date = Reviews(decided).history("a.png")[0].time[:10]
    assert [row.get("Review") for row in rows] == [
        f'accepted by Ada & "Bo" on {date}: as it should be',
        f'rejected by Ada & "Bo" on {date}',
        f'sent back by Ada & "Bo" on {date} (an earlier derivative): the sky <is> blotched',
        None,
    ]
    bodies = [canvas["items"][0]["items"][0]["body"] for canvas in manifest["items"]]
    assert [body["type"] for body in bodies] == ["Choice", "Image", "Choice", "Choice"]
    assert bodies[1]["id"] == "https://archive.example/old/b.png"


def test_the_table_says_what_was_decided_and_when_it_was_accepted(decided: Bucket) -> None:
    exported(decided)
    text = decided.read("exports/dublin-core.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    accepted = Reviews(decided).history("a.png")[0]
    assert [row["dcterms:dateAccepted"] for row in rows] == [accepted.time, "", "", ""]
    assert [row["dcterms:provenance"].split("; ")[1:] for row in rows[::3]] == [
        [f'accepted by Ada & "Bo" on {accepted.time[:10]}: as it should be'],
        [],
    ]


def test_a_bag_holds_decisions_and_masks_that_no_later_decision_changes(decided: Bucket) -> None:
    exported(decided)
    lines = [line.split("  ") for line in decided.read("exports/bag/manifest-sha256.txt").decode().splitlines()]
    payload = {path.removeprefix("data/"): sha256 for sha256, path in lines}
    reviews = [key for key in payload if key.startswith("reviews/")]
    assert len([key for key in reviews if key.endswith("00000001.json")]) == 3
    assert len([key for key in reviews if "/c.png/mask-" in key]) == len(reviews) - 3 == 1
    decide(decided, "a.png", "redo")
    assert all(decided.sha256(key) == payload[key] for key in reviews)


def test_a_decision_after_the_export_is_in_the_next_one_and_nothing_else_changes_an_export(decided: Bucket) -> None:
    exported(decided)
    first = {info.key: decided.read(info.key) for info in decided.list("exports")}
    exported(decided)
    assert first == {info.key: decided.read(info.key) for info in decided.list("exports")}
    decide(decided, "d.png", "accept")
    exported(decided)
    assert [texts(event, "eventOutcome")[0] for event in events(decided)].count("accepted") == 2


def test_a_photo_whose_decision_cannot_be_read_is_left_out_and_counted(decided: Bucket) -> None:
    decided.write("reviews/history/b.png/00000001.json", b"{")
    result = exported(decided)
    assert (result["photos"], result["left_out"]) == (3, {"with a decision that cannot be read": 1})
