"""CSV tables opened in a spreadsheet: names of files are text there, whatever they look like."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from fakes import encoded, picture, register

from oldphoto_core.custody.findings import AuditReport, Finding
from oldphoto_core.inventory.collection import take_stock
from oldphoto_core.reports.exports.run import ExportOptions, export_records
from oldphoto_core.restoration import close_run, job_of, open_run, restore_shard
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.tables import as_text, raw_text, write_csv

register()

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "'=1", "''-1"]
HYPERLINK = '=HYPERLINK("http:example","click")'
STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_computed_is_text_and_can_be_had_back(text: str) -> None:
    assert as_text(text) == f"'{text}"
    assert raw_text(as_text(text)) == text


@pytest.mark.parametrize("cell", ["a=1.png", "'Twas.png", "file:///a/=1.png", "", "1", -1, -0.5, None])
def test_other_cells_stay(cell: object) -> None:
    assert as_text(cell) == cell
    assert not isinstance(cell, str) or raw_text(cell) == cell


def test_numbers_stay_numbers_and_parquet_is_not_needed_to_read_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": ["=1.png", "b.png"], "gain": [-1.5, 2.0], "count": [-1, 2]})
    write_csv(Bucket(tmp_path), "t.csv", frame)
    read = pd.read_csv(tmp_path / "t.csv")
    assert list(read["gain"]) == [-1.5, 2.0]
    assert list(read["key"].map(raw_text)) == ["=1.png", "b.png"]


def cells(data: bytes) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(data.decode(), newline="")) for cell in row]


def test_an_inventory_computes_nothing_and_its_parquet_is_exact(tmp_path: Path) -> None:
    source = Bucket(tmp_path / "old")
    keys = sorted([f"{HYPERLINK.replace('/', '')}.png", "+1.png", "-2.png", "@3.png", "a.png"])
    for key in keys:
        source.write(key, encoded(picture(), ".png"))
    for ending in ("csv", "parquet"):
        take_stock(source, str(tmp_path / f"table.{ending}"))
    table = pd.read_csv(tmp_path / "table.csv")
    assert not [key for key in table["key"] if key.startswith(STARTS)]
    assert sorted(table["key"].map(raw_text)) == keys
    assert sorted(pd.read_parquet(tmp_path / "table.parquet")["key"]) == keys


def test_dublin_core_computes_nothing(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    for key in ("=1+1.png", "album/-2.png", "@3.png"):
        source.write(key, encoded(picture(), ".png"))
    run = open_run(job_of(source=source.url, target=target.url, model="invert", operator="=cmd|'/c calc'!A1"))
    for number in range(len(run.shards)):
        restore_shard(run, number)
    close_run(run)
    export_records(target, "", ExportOptions(dublin_core=True))
    found = cells(target.read("exports/dublin-core.csv"))
    assert {"'=1+1", "'-2", "'@3", "'=cmd|'/c calc'!A1"} <= set(found)
    assert not [cell for cell in found if cell.startswith(STARTS)]


def test_an_audits_table_computes_nothing(tmp_path: Path) -> None:
    report = AuditReport(target="t", started="now", findings=[Finding(key="=1.png", kind="extra", detail="-")])
    report.write(Bucket(tmp_path))
    assert not [cell for cell in cells((tmp_path / "audit.csv").read_bytes()) if cell.startswith(STARTS)]
    assert '"key": "=1.png"' in (tmp_path / "audit.json").read_text()
