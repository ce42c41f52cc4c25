"""PREMIS, BagIt, IIIF and Dublin Core of real runs, held against schemas and against the readers of others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import bagit
import jsonschema
import pytest
import pyvips
import xmlschema
from fakes import encoded, picture, register
from full_disk import full_disk

from oldphoto_core.errors import SourceMissing, UsageError, WriteFailed
from oldphoto_core.reports.exports.run import ExportOptions, export_records
from oldphoto_core.restoration import NetworkOptions, RestoreJob, RestoreOptions, close_run, open_run, restore_shard
from oldphoto_core.storage import Bucket

register()

HERE = Path(__file__).parent
WEB = {"iiif": "https://archive.example/restored/", "originals": "https://archive.example/scans"}
EVERYTHING = ExportOptions(premis=True, bagit=True, dublin_core=True, **WEB)
ODD = ["Æblegård/日本 1.jpg", 'box 1/it\'s "quoted" & <odd>.png', "a#b?c=d;e,f.tif"]
P = "{http://www.loc.gov/premis/v3}"


def put(source: Bucket, keys: list[str], seed: int = 0) -> None:
    for number, key in enumerate(keys):
        source.write(key, encoded(picture(seed=seed + number), f".{key.rsplit('.', 1)[1]}"))


def restore(source: Bucket, target: Bucket, operator: str = "", **how: Any) -> str:
    """A whole run; its id."""
    options = RestoreOptions(**how)
    job = RestoreJob(
        source=source.url, target=target.url, network=NetworkOptions(model="invert"), operator=operator, options=options
    )
    run = open_run(job)
    for number in range(len(run.shards)):
        restore_shard(run, number)
    close_run(run)
    return run.run_id


@pytest.fixture
def places(bucket_url: str) -> tuple[Bucket, Bucket]:
    """Source and target, of each kind of bucket."""
    return Bucket(f"{bucket_url}/old scans"), Bucket(f"{bucket_url}/new ones")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bucket, str]:
    """A target with photos of odd names and a copy, exported in every form, and its run."""
    folder = tmp_path_factory.mktemp("odd")
    source, target = Bucket(folder / "old scans"), Bucket(folder / "new ones")
    put(source, ODD)
    source.write("cut.jpg", source.read(ODD[0])[:900])
    run_id = restore(source, target, 'Åse & "Bo" <2>', on_failure="copy")
    assert export_records(target, run_id, EVERYTHING)["photos"] == 4
    return target, run_id


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Bucket, Bucket]:
    return Bucket(tmp_path / "old"), Bucket(tmp_path / "new")


def exported(target: Bucket, run_id: str, name: str) -> bytes:
    return target.read(f"runs/{run_id}/exports/{name}")


def completed(target: Bucket, run_id: str, folder: Path) -> bagit.Bag:
    """The bag with what its fetch.txt names, as a receiver completes it."""
    for item in target.join("runs", run_id).list("exports/bag"):
        path = folder / item.key.removeprefix("exports/bag/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.read(f"runs/{run_id}/{item.key}"))
    for line in (folder / "fetch.txt").read_text("utf-8").splitlines():
        url, size, name = line.split(" ", 2)
        place, _, key = url.rpartition("/")
        place = unquote(place) if not place.startswith("file:") else place
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(Bucket(place).read(unquote(key)))
        assert (folder / name).stat().st_size == int(size)
    return bagit.Bag(str(folder))


def test_a_bag_is_whole_once_what_it_names_is_fetched(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    put(source, ODD)
    run_id = restore(source, target)
    result = export_records(target, run_id, ExportOptions(bagit=True))
    assert result == {"photos": 3, "left_out": {}, "written": [f"runs/{run_id}/exports/bag/manifest-sha256.txt"]}
    bag = completed(target, run_id, tmp_path / "received")
    bag.validate()
    photos = [name for name in bag.payload_entries() if name.startswith("data/photos/")]
    assert sorted(photos) == sorted(f"data/photos/{key}" for key in ODD)
    assert len(bag.payload_entries()) == 9
    assert bag.info["External-Identifier"] == run_id


def test_a_bag_does_not_validate_when_a_derivative_is_another(folders: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = folders
    put(source, ["a.png"])
    run_id = restore(source, target)
    export_records(target, run_id, ExportOptions(bagit=True))
    data = bytearray(target.read("photos/a.png"))
    data[-20] ^= 1
    target.write("photos/a.png", bytes(data))
    with pytest.raises(bagit.BagValidationError, match=r"a\.png"):
        completed(target, run_id, tmp_path / "received").validate()


def test_a_percent_sign_is_encoded_in_a_bag(folders: tuple[Bucket, Bucket]) -> None:
    source, target = folders
    put(source, ["50%25.png"])
    run_id = restore(source, target)
    export_records(target, run_id, ExportOptions(bagit=True))
    fetch = exported(target, run_id, "bag/fetch.txt").decode().splitlines()[0].split(" ")
    assert fetch[2] == "data/photos/50%2525.png"
    assert Path(unquote(urlsplit(fetch[0]).path)).read_bytes() == target.read("photos/50%25.png")


@pytest.fixture(scope="module")
def premis_schema() -> xmlschema.XMLSchema:
    """The Library of Congress's own, version 3.0 of January 18, 2016, as it is."""
    return xmlschema.XMLSchema(str(HERE / "premis-3.0.xsd"))


def test_premis_says_what_came_of_what(odd: tuple[Bucket, str], premis_schema: xmlschema.XMLSchema) -> None:
    document = exported(*odd, "premis.xml")
    premis_schema.validate(document.decode())
    root = ElementTree.fromstring(document)
    names = [element.text for element in root.findall(f"{P}object/{P}originalName")]
    assert sorted(names) == sorted([*ODD, "cut.jpg", *(f"photos/{key}" for key in [*ODD, "cut.jpg"])])
    known = {element.text for element in root.iter(f"{P}objectIdentifierValue")}
    assert len(known) == 8
    for path in ("relatedObjectIdentifierValue", "linkingObjectIdentifierValue"):
        assert {element.text for element in root.iter(f"{P}{path}")} <= known
    for url in known:
        assert Path(unquote(urlsplit(str(url)).path)).is_file()
    events = {element.text for element in root.findall(f"{P}event/{P}eventIdentifier/{P}eventIdentifierValue")}
    assert {element.text for element in root.iter(f"{P}relatedEventIdentifierValue")} == events
    agents = {element.text for element in root.iter(f"{P}agentIdentifierValue")}
    assert {element.text for element in root.iter(f"{P}linkingAgentIdentifierValue")} == agents
    assert 'operator Åse & "Bo" <2>' in agents
    assert sorted(str(it.text) for it in root.iter(f"{P}eventType")) == ["creation"] * 3 + ["replication"]


def test_the_schema_refuses_what_is_no_premis(odd: tuple[Bucket, str], premis_schema: xmlschema.XMLSchema) -> None:
    document = exported(*odd, "premis.xml").decode()
    assert premis_schema.is_valid(document)
    for part, other in (("eventType>", "eventKind>"), ('version="3.0"', ""), ('xsi:type="file"', "")):
        assert not premis_schema.is_valid(document.replace(part, other))


def manifest_of(target: Bucket, run_id: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(exported(target, run_id, "iiif-manifest.json"))
    schema = json.loads((HERE / "iiif_manifest.json").read_text())
    jsonschema.validate(manifest, schema, jsonschema.Draft202012Validator)
    return manifest


def test_a_manifest_offers_original_and_restored(odd: tuple[Bucket, str]) -> None:
    run_id, manifest = odd[1], manifest_of(*odd)
    assert manifest["id"] == f"https://archive.example/restored/runs/{run_id}/exports/iiif-manifest.json"
    assert [canvas["label"]["none"][0] for canvas in manifest["items"]] == sorted([*ODD, "cut.jpg"])
    ids = []
    for canvas in manifest["items"]:
        key = canvas["label"]["none"][0]
        annotation = canvas["items"][0]["items"][0]
        assert annotation["target"] == canvas["id"]
        if key == "cut.jpg":
            assert annotation["body"]["type"] == "Image"
            continue
        original, restored = annotation["body"]["items"]
        assert unquote(urlsplit(original["id"]).path) == f"/scans/{key}"
        assert unquote(urlsplit(restored["id"]).path) == f"/restored/photos/{key}"
        assert unquote(urlsplit(canvas["seeAlso"][0]["id"]).path) == f"/restored/records/{key}.json"
        ids += [canvas["id"], canvas["items"][0]["id"], annotation["id"]]
    assert len(set(ids)) == 9


def test_the_reader_of_iiif_prezi3_takes_a_manifest(odd: tuple[Bucket, str]) -> None:
    iiif_prezi3 = pytest.importorskip("iiif_prezi3", reason="iiif-prezi3 wants an older Pillow than this project")
    read = iiif_prezi3.Manifest(**manifest_of(*odd))
    assert read.items[0].items[0].items[0].body.type == "Choice"


def test_a_photo_that_lies_on_its_side_gets_a_canvas_that_stands(
    folders: tuple[Bucket, Bucket],
) -> None:
    source, target = folders
    image = pyvips.Image.new_from_array(picture()).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    source.write("a.jpg", image.jpegsave_buffer())
    run_id = restore(source, target)
    export_records(target, run_id, ExportOptions(**WEB))
    canvas = manifest_of(target, run_id)["items"][0]
    assert (canvas["width"], canvas["height"]) == (40, 60)


def test_the_table_has_a_row_for_each_derivative(odd: tuple[Bucket, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(exported(*odd, "dublin-core.csv").decode(), newline="")))
    keys = sorted([*ODD, "cut.jpg"])
    assert [row["dc:title"] for row in rows] == [key.split("/")[-1].rpartition(".")[0] for key in keys]
    assert [row["dc:format"] for row in rows] == ["image/tiff", "image/png", "image/jpeg", "image/jpeg"]
    assert {row["dc:contributor"] for row in rows} == {'Åse & "Bo" <2>'}
    said = ["altered by a neural network" in row["dc:description"] for row in rows]
    assert said == [True, True, False, True]


def test_the_same_run_gives_the_same_bytes(odd: tuple[Bucket, str]) -> None:
    target, run_id = odd
    run = target.join("runs", run_id)
    first = {item.key: run.read(item.key) for item in run.list("exports")}
    export_records(target, run_id, EVERYTHING)
    assert {item.key: run.read(item.key) for item in run.list("exports")} == first
    assert len(first) == 8


def test_a_run_answers_for_what_it_wrote_itself_and_the_target_for_all(folders: tuple[Bucket, Bucket]) -> None:
    source, target = folders
    put(source, ["a.png", "b.png", "c.png"])
    first = restore(source, target)
    put(source, ["b.png"], seed=9)
    second = restore(source, target)
    target.delete("photos/c.png")
    results = [export_records(target, run_id, ExportOptions(premis=True)) for run_id in (first, second, "")]
    assert [result["photos"] for result in results] == [1, 1, 2]
    assert results[0]["left_out"] == {"last written by another run": 1, "derivative changed or missing": 1}
    assert results[1]["left_out"] == {}
    assert results[2]["written"] == ["exports/premis.xml"]


def test_records_of_older_versions_are_exported_too(
    folders: tuple[Bucket, Bucket], premis_schema: xmlschema.XMLSchema, tmp_path: Path
) -> None:
    source, target = folders
    put(source, ["a.png"])
    run_id = restore(source, target)
    record = json.loads(target.read("records/a.png.json")) | {"schema": "oldphoto-record/1"}
    for name in ("mask_file", "difference", "operator"):
        del record[name]
    for part, known in (
        ("source", ("bucket", "key", "version", "sha256")),
        ("derivative", ("key", "sha256", "bytes", "width", "height", "channels", "bits")),
    ):
        record[part] = {name: record[part][name] for name in known}
    target.write("records/a.png.json", json.dumps(record).encode())
    assert export_records(target, run_id, EVERYTHING)["photos"] == 1
    premis_schema.validate(exported(target, run_id, "premis.xml").decode())
    assert manifest_of(target, run_id)["items"][0]["items"][0]["items"][0]["body"]["items"][1]["format"] == "image/png"
    completed(target, run_id, tmp_path / "received").validate()


def test_what_is_no_run_is_named(folders: tuple[Bucket, Bucket]) -> None:
    source, target = folders
    put(source, ["a.png"])
    run_id = restore(source, target)
    with pytest.raises(SourceMissing, match=f"no run 2020.*{run_id}"):
        export_records(target, "20200101-000000-0000", EVERYTHING)
    again = restore(source, target)
    with pytest.raises(SourceMissing, match="nothing to export"):
        export_records(target, again, EVERYTHING)
    target.delete(f"runs/{run_id}/summary.json")
    with pytest.raises(UsageError, match="has not come to its end"):
        export_records(target, run_id, EVERYTHING)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"iiif": "https://archive.example"},
        {"premis": True, "originals": "https://archive.example"},
        {"iiif": "archive.example", "originals": "https://archive.example"},
        {"iiif": "https://archive.example/?a=b", "originals": "https://archive.example"},
    ],
)
def test_wrong_usage_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ExportOptions(**options)


@pytest.mark.parametrize("form", ["premis", "bagit", "dublin_core", "iiif"])
def test_a_full_temporary_directory_is_said_in_one_line(folders: tuple[Bucket, Bucket], form: str) -> None:
    source, target = folders
    put(source, ODD)
    run_id = restore(source, target)
    options = ExportOptions(**(WEB if form == "iiif" else {form: True}))
    with full_disk(100), pytest.raises(WriteFailed, match=r"temporary directory \(File too large\); .* TMPDIR"):
        export_records(target, run_id, options)
    assert not list(target.list(f"runs/{run_id}/exports"))
    assert export_records(target, run_id, options)["photos"] == 3


def test_a_temporary_directory_that_is_gone_is_said_in_one_line(
    folders: tuple[Bucket, Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = folders
    put(source, ODD)
    run_id = restore(source, target)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(WriteFailed, match="temporary directory"):
        export_records(target, run_id, ExportOptions(premis=True))
