"""Names as terminals and logs may show them: one line each, and nothing in them acts on the terminal."""

from __future__ import annotations

import json
import logging

import pytest

from oldphoto_core.errors import UnsafeKey
from oldphoto_core.names import visible, visible_json
from oldphoto_core.storage import LedgerRow

ATTACKS = {
    "line break": ("a\nrestored b.png", r"a\nrestored b.png"),
    "carriage return": ("a\rb.png", r"a\rb.png"),
    "colour": ("\x1b[31ma.png", r"\x1b[31ma.png"),
    "C1 control sequence": ("\x9b2Ja.png", r"\x9b2Ja.png"),
    "delete": ("a\x7f.png", r"a\x7f.png"),
    "reversed": ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
    "isolate": ("\u2066a\u2069.png", r"\u2066a\u2069.png"),
    "zero width": ("a\u200b\u2060\ufeff.png", r"a\u200b\u2060\ufeff.png"),
    "line separator": ("a\u2028b\u2029.png", r"a\u2028b\u2029.png"),
    "tag characters": ("a\U000e0041.png", r"a\U000e0041.png"),
    "not UTF-8": ("a\udcff.png", r"a\udcff.png"),
}
attacks = pytest.mark.parametrize(("name", "spelled"), ATTACKS.values(), ids=ATTACKS)


@attacks
def test_what_acts_on_a_terminal_is_spelled_out(name: str, spelled: str) -> None:
    assert visible(name) == spelled
    assert visible(visible(name)) == spelled


@pytest.mark.parametrize(
    "name", ["Æblegård/日本\u30001.jpg", "it [red] & <x>\u00a0.png", "e\u0301.tif", r"a\b.png", ""]
)
def test_names_of_every_script_stay_as_they_are(name: str) -> None:
    assert visible(name) == name


@attacks
def test_json_stays_exact(name: str, spelled: str) -> None:
    text = visible_json(json.dumps({"key": name}, indent=2, ensure_ascii=False))
    assert json.loads(text) == {"key": name}
    assert [visible(line) for line in text.splitlines()] == text.splitlines()


@attacks
def test_an_error_is_one_line_whatever_name_it_quotes(name: str, spelled: str) -> None:
    assert str(UnsafeKey(f"key {name} is unsafe")) == f"key {spelled} is unsafe"


@attacks
def test_a_line_of_the_log_is_one_line(name: str, spelled: str, caplog: pytest.LogCaptureFixture) -> None:
    from oldphoto_core.runs.shard import log_row

    caplog.set_level(logging.INFO, logger="oldphoto")
    log_row(LedgerRow(key=name, version="", status="failed", reason="missing", detail=f"{name} is gone"), "run", 0)
    (record,) = caplog.records
    assert record.getMessage() == f"run run, shard 0, {spelled}: failed: missing: {spelled} is gone"
    assert record.key == name  # type: ignore[attr-defined] # for machines: exact
