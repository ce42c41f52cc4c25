"""Provenance records: what runs write down, held against the published schema and against the files themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import pyvips
from fakes import DetectingRestorer, decoded, encoded, fill, mark, picture, scratched
from PIL import ImageCms
from records import records_of

from oldphoto_core.errors import ConfigError
from oldphoto_core.pipeline.stages import COPY_ORIGINAL, STAGES
from oldphoto_core.reports.record import decode_record, encode_record, record_schema
from oldphoto_core.restoration import RestoreJob


def test_the_schema_of_records_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())


def test_the_schema_of_records_knows_every_stage() -> None:
    stages = record_schema()["properties"]["stage_seconds"]["propertyNames"]["enum"]
    assert stages == [stage.name for stage in (*STAGES, COPY_ORIGINAL)]


def test_a_record_pins_the_source_the_derivative_the_mask_the_model_and_the_run(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["box/a.jpg"])
    record = records_of(tmp_path)["box/a.jpg"]
    for part, place in (("source", "old"), ("derivative", "new"), ("mask_file", "new")):
        data = (tmp_path / place / record[part]["key"]).read_bytes()
        assert (record[part]["sha256"], record[part]["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert record["derivative"]["key"] == "photos/box/a.jpg"
    assert (record["model"]["name"], record["model"]["digest"]) == ("invert", "a" * 64)
    assert (record["run_id"], record["device"], record["status"]) == ("20261123-000000-abcd", "cpu", "restored")


def test_a_record_states_the_facts_of_both_files(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    image = pyvips.Image.new_from_array(picture(bits=16)).copy(interpretation="rgb16", xres=11.811, yres=11.811).copy()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.tiffsave(str(tmp_path / "old/a.tif"), compression="lzw")
    record = records_of(tmp_path, format="png")["a.tif"]
    facts = {
        "format": "tiff",
        "width": 60,
        "height": 40,
        "kind": "RGB",
        "channels": 3,
        "bits": 16,
        "sample": "integer",
        "alpha": False,
        "profile": "sRGB built-in",
        "compression": "lzw",
        "lossless": True,
        "pixels_per_mm": [pytest.approx(11.811, abs=1e-3)] * 2,
        "resolution_unit": "in",
        "orientation": 6,
    }
    assert {name: record["source"][name] for name in facts} == facts
    derived = {name: record["derivative"][name] for name in facts}
    assert derived == facts | {"format": "png", "compression": "deflate", "resolution_unit": derived["resolution_unit"]}


def in_cmyk(rgb: Any) -> Any:
    return rgb.bandjoin(20).copy(interpretation="cmyk")


def in_float(rgb: Any) -> Any:
    return (rgb / 255).cast("float").copy(interpretation="srgb")


@pytest.mark.parametrize(
    ("converted", "facts"),
    [
        (in_cmyk, {"kind": "CMYK", "channels": 4, "bits": 8, "sample": "integer", "profile": None}),
        (in_float, {"kind": "RGB", "channels": 3, "bits": 32, "sample": "float", "profile": None}),
    ],
)
def test_of_a_converted_master_the_facts_are_those_of_its_file(
    tmp_path: Path, converted: Callable[[Any], Any], facts: dict[str, Any]
) -> None:
    (tmp_path / "old").mkdir()
    converted(pyvips.Image.new_from_array(picture())).tiffsave(str(tmp_path / "old/a.tif"))
    record = records_of(tmp_path)["a.tif"]
    assert record["source"] | facts == record["source"]
    assert (record["derivative"]["kind"], record["derivative"]["sample"]) == ("RGB", "integer")
    assert record["warnings"]


@pytest.mark.parametrize("from_disk", [False, True])
def test_the_difference_is_that_between_the_two_pictures(tmp_path: Path, from_disk: bool) -> None:
    fill(tmp_path / "old", ["a.png"], bits=16)
    how = {"in_flight_megapixels": 0.001} if from_disk else {}
    record = records_of(tmp_path, DetectingRestorer(), **how)["a.png"]
    old, new = (decoded((tmp_path / place / "a.png").read_bytes()).astype(float) for place in ("old", "new/photos"))
    apart = np.abs(new - old)[..., ::-1]  # OpenCV's order is BGR
    difference = record["difference"]
    assert difference["levels"] == 65535
    assert difference["mean"] == pytest.approx(apart.mean((0, 1)), abs=1e-5)
    assert difference["max"] == apart.max((0, 1)).tolist()
    assert difference["rms"] == pytest.approx(np.sqrt((apart**2).mean()), abs=1e-5)
    assert difference["psnr"] == pytest.approx(20 * np.log10(65535 / difference["rms"]), abs=1e-3)
    assert record["changed_share"] == (apart != 0).any(axis=2).mean()


def test_where_nothing_was_damaged_nothing_differs(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    record = records_of(tmp_path, DetectingRestorer(), mode="scratches")["a.png"]
    assert record["difference"] == {"levels": 255, "mean": [0, 0, 0], "max": [0, 0, 0], "rms": 0, "psnr": None}
    assert record["changed_share"] == 0


def test_a_record_says_from_where_its_mask_is(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.png").write_bytes(encoded(scratched(picture(seed=1)), ".png"))
    fill(tmp_path / "old", ["b.png"])
    masks = mark(tmp_path / "masks", ["b.png.png"])
    found = records_of(tmp_path, DetectingRestorer(), masks=masks, mode="scratches")
    assert found["a.png"]["mask"] == {
        "key": None,
        "version": None,
        "detector": "d" * 64,
        "widened_by": 1,
        "coverage": pytest.approx(6 / 40),
        "doubtful": ["large holes"],
    }
    assert found["b.png"]["mask"]["key"] == "b.png.png"


def test_a_copy_has_a_record_too(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.jpg"])
    (tmp_path / "old/a.jpg").write_bytes((tmp_path / "old/a.jpg").read_bytes()[:900])
    (tmp_path / "old/c.jpg").write_bytes(b"no picture at all")
    found = records_of(tmp_path, on_failure="copy")
    assert {key: record["status"] for key, record in found.items()} == {
        "a.jpg": "copied",
        "b.jpg": "restored",
        "c.jpg": "copied",
    }
    for key in ("a.jpg", "c.jpg"):
        assert found[key]["source"]["sha256"] == found[key]["derivative"]["sha256"]
        assert found[key]["difference"] is found[key]["mask_file"] is found[key]["changed_share"] is None
    assert "truncated" in found["a.jpg"]["warnings"][0] or "ends at byte 900" in found["a.jpg"]["warnings"][0]
    assert "format" not in found["c.jpg"]["derivative"]


def test_nobody_is_named_unless_somebody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "jane")
    monkeypatch.setenv("LOGNAME", "jane")
    fill(tmp_path / "old", ["a.jpg"])
    assert records_of(tmp_path)["a.jpg"]["operator"] is None
    assert "jane" not in (tmp_path / "new/records/a.jpg.json").read_text()
    assert records_of(tmp_path, operator="Åse Müller", existing="overwrite")["a.jpg"]["operator"] == "Åse Müller"


@pytest.mark.parametrize("operator", ["two\nlines", "x" * 201, "\udcff"])
def test_an_operator_is_one_line(operator: str) -> None:
    with pytest.raises(ConfigError, match="operator"):
        RestoreJob(source="old", target="new", operator=operator)


def test_a_record_names_the_software_and_the_time(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    record = records_of(tmp_path, format="tiff")["a.png"]
    assert {"oldphoto", "torch", "pyvips", "python"} <= set(record["software"])
    assert str(record["time"]).endswith("+00:00")
    assert record["derivative"]["key"] == "photos/a.png.tif"


@pytest.mark.parametrize("version", [1, 2])
def test_a_record_of_any_known_version_reads_back_as_it_was_written(version: int) -> None:
    record = {"schema": f"oldphoto-record/{version}", "source": {"key": "Æblegård.jpg"}}
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize(
    "other", [b"", b"[]", b'{"schema": "somebody elses"}', b'{"schema": "oldphoto-record/3"}', b"\xff\xfe"]
)
def test_nothing_else_is_a_record(other: bytes) -> None:
    assert decode_record(other) is None
