"""What listens on loopback is reached without a proxy, whatever the environment says of proxies."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx
import pytest

from oldphoto_core.proxies import bypass_loopback
from oldphoto_core.storage import Bucket

NAMES = [f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO")]
NOWHERE = "http://127.0.0.1:9"
LOOPBACK = ("http://127.0.0.1:8080/x", "http://localhost:8080/x", "http://[::1]:8080/x")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own environment, put back afterwards whoever changed it."""
    for name in (*NAMES, *map(str.lower, NAMES)):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def proxied(url: str) -> bool:
    with httpx.Client() as client:
        return client._transport_for_url(httpx.URL(url)) is not client._transport


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_for_other_machines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, NOWHERE)
    bypass_loopback()
    assert [url for url in LOOPBACK if proxied(url)] == []
    assert proxied("http://museum.example/x")


@pytest.mark.parametrize("listed", ["NO_PROXY", "no_proxy"])
def test_exceptions_of_the_user_stay(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv(listed, "museum.example, [::1]")
    bypass_loopback()
    assert [url for url in (*LOOPBACK, "http://museum.example/x") if proxied(url)] == []
    assert proxied("http://another.example/x")
    assert proxy_bypass("127.0.0.1:9000")
    assert getproxies()["http"] == NOWHERE


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "https_proxy"])
def test_a_socks_proxy_ends_no_client(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "socks5h://127.0.0.1:9")
    bypass_loopback()
    assert not proxied(LOOPBACK[0])


def test_without_a_proxy_the_environment_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    bypass_loopback()
    assert dict(os.environ) == before


def test_a_store_on_loopback_is_reached_past_a_proxy(
    s3_bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # also other settings than those of a client that is there
    Bucket(s3_bucket_url).write("a.txt", b"content")
    assert Bucket(s3_bucket_url).read("a.txt") == b"content"
