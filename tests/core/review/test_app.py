"""The desk's server: who is let in, what is refused, and that nothing refused leaves a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import encoded, picture, scratched
from runs import restore
from starlette.testclient import TestClient

from oldphoto_core.desk.app import MOST_JSON, application
from oldphoto_core.desk.bits import packed, unpacked
from oldphoto_core.desk.desk import Desk
from oldphoto_core.desk.guard import Access
from oldphoto_core.desk.pictures import Pictures
from oldphoto_core.desk.preview import Previewer
from oldphoto_core.desk.queue import Queue
from oldphoto_core.errors import UsageError
from oldphoto_core.restoration import NetworkOptions
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket

HOME = "http://127.0.0.1:8095"
TOKEN = "0123456789abcdef0123"


@pytest.fixture
def target(tmp_path: Path) -> Bucket:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    for seed, key in enumerate(["a.png", "b.png"]):
        source.write(key, encoded(scratched(picture(seed=seed)), ".png"))
    restore(source, target, model="detect")
    return target


@pytest.fixture
def desk(target: Bucket) -> Iterator[Desk]:
    queue = Queue(target)
    with Pictures(queue, isolated=False) as pictures:
        yield Desk(queue, pictures, Previewer(NetworkOptions(model="detect")))


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return TestClient(application(desk, Access()), base_url=HOME, headers={"Origin": HOME})


def decision(client: TestClient, key: str = "a.png", **more: Any) -> dict[str, Any]:
    photo = client.get("/api/photo", params={"key": key}).json()
    plain = {"key": key, "verdict": "accept", "reviewer": "Ada", "note": "", "seen": photo["output_sha256"]}
    return {**plain, "after": 0, "mask": "", "protected": [], "id": "1", **more}


def test_a_decision_is_on_disk_when_it_is_answered(client: TestClient, target: Bucket) -> None:
    answer = client.post("/api/decide", json=decision(client, note="fine"))
    assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
    assert Reviews(target).last("a.png").note == "fine"
    assert Reviews(target).last("a.png").strength is None
    assert client.get("/api/queue").json()["counts"]["accepted"] == 1


def test_a_decision_that_is_sent_twice_is_stored_once(client: TestClient, target: Bucket) -> None:
    plain = decision(client)
    assert [client.post("/api/decide", json=plain).status_code for _ in range(2)] == [200, 200]
    assert len(Reviews(target).history("a.png")) == 1


def test_who_decides_second_is_told_of_the_first(client: TestClient, target: Bucket) -> None:
    client.post("/api/decide", json=decision(client))
    answer = client.post("/api/decide", json=decision(client, reviewer="Björn", id="2"))
    assert (answer.status_code, answer.json()["kind"]) == (409, "DecidedMeanwhile")
    assert "Ada decided" in answer.json()["error"]
    assert len(Reviews(target).history("a.png")) == 1


def test_a_decision_that_another_server_stored_just_now_is_told_when_the_photo_is_opened(
    client: TestClient, target: Bucket
) -> None:
    plain = decision(client)
    known = {name: plain[name] for name in ("key", "verdict", "seen")}
    Reviews(target).add(Decision(**known, reviewer="Björn"))
    assert client.post("/api/decide", json=plain).status_code == 409
    assert client.get("/api/photo", params={"key": "a.png"}).json()["decision"]["reviewer"] == "Björn"


@pytest.mark.parametrize("verdict", ["accept", "redo", "reject"])
def test_nothing_is_decided_about_a_derivative_that_was_altered_since(
    client: TestClient, target: Bucket, verdict: str
) -> None:
    plain = decision(client, verdict=verdict)
    target.write("photos/a.png", encoded(picture(seed=77), ".png"))
    answer = client.post("/api/decide", json=plain)
    assert (answer.status_code, answer.json()["kind"]) == (409, "NotWhatWasSeen")
    assert Reviews(target).count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "maybe"}, {"reviewer": ""}, {"reviewer": "a\nb"}, {"key": "../../etc/passwd"}, {"key": ""},
        {"after": "0"}, {"after": -1}, {"after": None}, {"mask": "../x"}, {"mask": "f" * 64}, {"protected": [[1]]},
        {"protected": None}, {"seen": "abc"}, {"note": ["x"]}, {"key": ["a.png"]}, {"verdict": {}},
    ],
)  # fmt: skip
def test_a_decision_that_makes_no_sense_is_answered_with_a_line_and_stored_nowhere(
    client: TestClient, target: Bucket, wrong: dict[str, Any]
) -> None:
    answer = client.post("/api/decide", json={**decision(client), **wrong})
    assert 400 <= answer.status_code < 500
    assert "\n" not in answer.json()["error"]
    assert Reviews(target).count() == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b"\xff", b" " * (MOST_JSON + 1)])
def test_a_body_that_is_no_decision_or_too_large_is_refused(client: TestClient, target: Bucket, body: bytes) -> None:
    assert client.post("/api/decide", content=body).status_code in (400, 413)
    assert Reviews(target).count() == 0


def test_a_mask_goes_up_and_comes_back_pixel_for_pixel(client: TestClient) -> None:
    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    painted = np.random.default_rng(3).random((40, 60)) < 0.4
    sha256 = client.put("/api/mask", params={"id": name}, content=packed(painted)).json()["sha256"]
    client.post("/api/decide", json=decision(client, verdict="redo", mask=sha256))
    # the client has unpacked what is sent as gzip
    bits = client.get("/api/mask", params={"id": name}).content
    assert (np.unpackbits(np.frombuffer(bits, np.uint8).reshape(40, 8), axis=1, count=60) == painted).all()


def test_the_mask_of_the_run_is_shown_until_it_is_corrected(client: TestClient, desk: Desk) -> None:
    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    mask = unpacked(desk.mask(name), 40, 60)
    assert mask[12:16].all()
    assert mask.sum() == 4 * 60


def test_a_mask_of_another_size_is_refused(client: TestClient, target: Bucket) -> None:
    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    answer = client.put("/api/mask", params={"id": name}, content=packed(np.ones((60, 40), bool)))
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert list(target.list("reviews")) == []


@pytest.mark.parametrize("mode", ["full", "scratches"])
def test_a_preview_is_what_the_restorer_makes_of_the_part(client: TestClient, mode: str) -> None:
    import cv2

    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    mask = np.zeros((40, 60), bool)
    mask[20:22] = True
    asked = {"id": name, "left": 10, "top": 5, "width": 40, "height": 30, "mode": mode}
    answer = client.post("/api/preview", params=asked, content=packed(mask))
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    master = scratched(picture(seed=0))[5:35, 10:50]
    assert shown.shape == (30, 40, 3)
    assert (shown[15:17] == 127).all()
    expected = master if mode == "scratches" else 255 - master
    assert (shown[:13] == expected[:13]).all()


def test_a_preview_has_the_strength_that_was_asked_for(client: TestClient) -> None:
    import cv2

    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    mask = np.zeros((40, 60), bool)
    mask[20:22] = True
    whole = {"id": name, "left": 0, "top": 0, "width": 60, "height": 40, "strength": 0.5}
    answer = client.post("/api/preview", params=whole, content=packed(mask))
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).astype(float)
    assert np.abs(np.delete(shown, [20, 21], axis=0) - 127.5).max() <= 0.5  # the mean of a photo and its negative
    assert (shown[20:22] == 127).all()


@pytest.mark.parametrize(
    "asked",
    [
        {"width": 0},
        {"strength": 1.5},
        {"left": 50},
        {"left": -1},
        {"mode": "x"},
        {"tone": 2},
        {"tone": "nan"},
        {"width": "x"},
        {"id": "x"},
    ],
)
def test_a_preview_of_no_part_is_refused(client: TestClient, asked: dict[str, Any]) -> None:
    name = client.get("/api/photo", params={"key": "a.png"}).json()["id"]
    whole = {"id": name, "left": 0, "top": 0, "width": 60, "height": 40}
    answer = client.post("/api/preview", params={**whole, **asked}, content=packed(np.zeros((40, 60), bool)))
    assert answer.status_code in (400, 404)


# --- who is let in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8095", "127.0.0.1.evil.example", "10.0.0.1", "", "["])
def test_another_name_of_this_machine_is_refused_as_rebinding_would_use_it(client: TestClient, host: str) -> None:
    assert client.get("/api/queue", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("name", ["127.0.0.1:9", "localhost:9", "[::1]:9", "localhost"])
def test_names_of_loopback_are_let_in(client: TestClient, name: str) -> None:
    assert client.get("/api/queue", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:8096", "https://127.0.0.1:8095"]
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, target: Bucket, origin: str) -> None:
    plain = decision(client)
    assert client.post("/api/decide", json=plain, headers={"Origin": origin}).status_code == 403
    assert Reviews(target).count() == 0


def test_a_page_of_another_site_reads_nothing(client: TestClient) -> None:
    for path in ("/api/queue", "/api/photo?key=a.png", "/api/thumbnail?key=a.png"):
        assert client.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_every_answer_forbids_what_is_inline_and_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/api/queue", "/nothing", "/assets/desk.js"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py", "/assets/%2e%2e/app.py", "/tiles/../../x/before/0/0_0.jpg", "/tiles/x/before/0/0_0.jpg",
        "/api/thumbnail?key=../runs/x", "/api/photo?key=/etc/passwd", "/api/mask?id=../../x",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_beyond_loopback_nothing_is_served_without_a_token() -> None:
    with pytest.raises(UsageError, match="give --token-file"):
        Access(host="0.0.0.0")
    with pytest.raises(UsageError, match="has 5 characters"):
        Access(token="short")


def test_with_a_token_a_browser_must_show_it_once(desk: Desk) -> None:
    access = Access(host="0.0.0.0", token=TOKEN)
    home = "http://archive.example:8095"
    client = TestClient(application(desk, access), base_url=home, headers={"Origin": home}, follow_redirects=False)
    assert client.get("/").headers["location"] == "/login"
    assert [client.get(path).status_code for path in ("/api/queue", "/assets/desk.js", "/login")] == [401, 401, 200]
    assert client.post("/login", data={"token": "wrong" * 5}).headers["location"] == "/login?wrong"
    assert client.get("/api/queue").status_code == 401
    entered = client.post("/login", data={"token": TOKEN})
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict"))
    assert TOKEN not in cookie
    assert client.get("/api/queue").status_code == 200
    assert client.post("/login", content=b"x" * 5000).status_code == 413


def test_two_windows_see_what_each_other_looks_at(client: TestClient) -> None:
    client.get("/api/activity", params={"key": "a.png", "who": "1", "reviewer": "Ada"})
    other = client.get("/api/activity", params={"key": "b.png", "who": "2", "reviewer": "Björn"}).json()
    assert other["taken"] == {"a.png": "Ada"}
    moved = client.get("/api/activity", params={"key": "", "who": "1", "reviewer": "Ada"}).json()
    assert moved["taken"] == {"b.png": "Björn"}
