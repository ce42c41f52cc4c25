"""The desk over TLS with a certificate of its own: what is served to whom, and what never crosses in clear."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from desk_parts import NAMES, DeskVisit, Server, serving

from oldphoto_core.desk.guard import COOKIE
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate for 127.0.0.1, its key, and a token."""
    folder = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the desk")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "token").write_text(TOKEN)
    return folder


@pytest.fixture
def secure(target: Path, signed: Path) -> Iterator[Server]:
    options = (
        "--certificate",
        signed / "certificate.pem",
        "--key",
        signed / "key.pem",
        "--token-file",
        signed / "token",
    )
    with serving(target, *options, scheme="https") as server:
        yield server


def test_a_client_that_knows_the_certificate_gives_the_token_once_and_decides(
    secure: Server, signed: Path, target: Path
) -> None:
    origin = secure.url.rstrip("/")
    trusted = ssl.create_default_context(cafile=signed / "certificate.pem")
    with httpx.Client(verify=trusted, base_url=secure.url, headers={"Origin": origin}, trust_env=False) as client:
        assert client.get("/").headers["Location"] == "/login"
        assert client.get("/api/queue").status_code == 401
        entered = client.post("/login", data={"token": TOKEN})
        cookie = entered.headers["Set-Cookie"]
        assert cookie.startswith(COOKIE)
        assert {"Secure", "HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
        photo = client.get("/api/photo", params={"key": NAMES[0]}).json()
        plain = {"key": NAMES[0], "verdict": "accept", "reviewer": "Ada", "note": "", "seen": photo["output_sha256"]}
        plain |= {"after": 0, "mask": "", "protected": [], "id": "1"}
        in_clear = client.post("/api/decide", json=plain, headers={"Origin": origin.replace("https", "http")})
        assert in_clear.status_code == 403
        assert client.post("/api/decide", json=plain).status_code == 200
    assert [each.verdict for each in Reviews(Bucket(target)).history(NAMES[0])] == ["accept"]


def test_a_client_that_does_not_know_the_certificate_and_one_without_tls_get_nothing(secure: Server) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secure.url, trust_env=False)
    with pytest.raises(httpx.TransportError):
        httpx.get(secure.url.replace("https", "http"), trust_env=False)


def test_versions_of_tls_that_are_broken_are_refused(secure: Server, signed: Path) -> None:
    old = ssl.create_default_context(cafile=signed / "certificate.pem")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError, match=r"(?i)alert|protocol"):
        httpx.get(secure.url, verify=old, trust_env=False)


@pytest.mark.long
def test_the_page_works_over_tls_after_the_token_was_typed(browser: Any, secure: Server, target: Path) -> None:
    visit = DeskVisit(browser, secure.url, token=TOKEN, ignore_https_errors=True)
    visit.open(NAMES[0])
    visit.decide("a")
    assert Reviews(Bucket(target)).last(NAMES[0]).verdict == "accept"
    assert visit.wrong == []
