"""`oldphoto doctor`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_shows_no_secret(
    prefect_server: str, s3_bucket_url: str, oldphoto, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    planted = {
        "AWS_SECRET_ACCESS_KEY": "planted-secret-1",
        "AWS_ACCESS_KEY_ID": "planted-id-22",
        "PREFECT_API_KEY": "planted-api-key-3",
        "AWS_ENDPOINT_URL": "http://user:planted-password-4@127.0.0.1:9",
    }
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ended = oldphoto("doctor", s3_bucket_url, "--write", *(["--json"] if as_json else []))
    assert ended.code == 1, ended.err
    assert "planted" not in ended.out + ended.err
    assert "AWS_SECRET_ACCESS_KEY" in ended.out
    if as_json:
        told = json.loads(ended.out)
        assert told["ok"] is False
        assert {each["name"] for each in told["findings"] if each["state"] == "bad"} == {"list", "write"}


def test_a_machine_that_can_restore_ends_with_0(prefect_server: str, oldphoto, tmp_path: Path) -> None:
    ended = oldphoto("doctor", tmp_path, "--write")
    assert ended.code == 0, ended.out
    assert "all that a restoration needs is here" in ended.out
    assert oldphoto("doctor", "--write").code == 2
    assert oldphoto("doctor", "ftp://elsewhere").code == 2


def test_a_prefect_server_that_does_not_answer_is_bad(oldphoto) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://me:planted@127.0.0.1:9/api"}):
        ended = oldphoto("doctor")
    assert ended.code == 1
    assert "http://127.0.0.1:9/api does not answer" in ended.out
    assert "planted" not in ended.out
