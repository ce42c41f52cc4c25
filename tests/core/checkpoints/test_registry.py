"""The registry: versions that stay, pointers that never lose a promotion, bytes that are verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from flows.commands.models import list_models
from oldphoto_core.checkpoints import (
    ModelCard,
    Registry,
    load_detector,
    load_model,
    load_tone,
    place_of,
    publish_version,
    read_card,
    save_model,
    verify_model,
)
from oldphoto_core.errors import DamagedWeights, RegistryRefused, UnknownModel, UsageError
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.nets import preset_named
from oldphoto_core.storage import Bucket, Journal

DATA = ["ten photos of the test, in the public domain"]


def tiny_model(folder: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    card = ModelCard(name="tiny", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-24")
    save_model(Bucket(folder), preset_named("compact").triplet(), card)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1)


@pytest.fixture
def registry(bucket_url: str) -> Registry:
    return Registry(bucket_url)


def with_versions(registry: Registry, *references: str) -> Registry:
    """Versions without weights, as far as pointers are concerned."""
    for reference in references:
        registry.folder(reference).write("SHA256SUMS", f"{'0' * 64}  card.json\n".encode())
    return registry


def test_a_published_version_loads_with_its_card(registry: Registry, model: str) -> None:
    card = publish_version(registry, model, "mine@1", data=DATA, licence="CC0")
    loaded = load_model(place_of("mine@1", registry.bucket.url))
    assert loaded.card == card
    assert (card.name, card.data, card.licence) == ("mine@1", DATA, "CC0")
    assert registry.versions() == ["mine@1"]


def test_a_version_lists_its_digests_as_sha256sum_reads_them(model: str, tmp_path: Path) -> None:
    publish_version(Registry(str(tmp_path)), model, "mine@1", data=DATA)
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "registry/mine/1", check=False)
    assert checked.returncode == 0


def test_a_version_is_published_once(registry: Registry, model: str, other: str) -> None:
    publish_version(registry, model, "mine@1", data=DATA)
    before = {entry.key: registry.bucket.read(entry.key) for entry in registry.bucket.list()}
    for again in (model, other):
        with pytest.raises(RegistryRefused, match="mine@1 exists"):
            publish_version(registry, again, "mine@1", data=DATA)
    assert {entry.key: registry.bucket.read(entry.key) for entry in registry.bucket.list()} == before


def test_a_publication_that_was_killed_is_no_version_until_it_is_completed(
    registry: Registry, model: str, other: str
) -> None:
    publish_version(registry, model, "mine@1", data=DATA)
    registry.folder("mine@1").delete("SHA256SUMS")
    assert registry.versions() == []
    with pytest.raises(UnknownModel, match="no mine@1"):
        place_of("mine@1", registry.bucket.url)
    with pytest.raises(RegistryRefused, match=r"begun with another weights\.safetensors"):
        publish_version(registry, other, "mine@1", data=DATA)
    publish_version(registry, model, "mine@1", data=DATA)
    assert registry.versions() == ["mine@1"]


@pytest.mark.parametrize("file", ["card.json", "weights.safetensors"])
def test_what_was_altered_after_publishing_is_not_loaded(file: str, model: str, tmp_path: Path) -> None:
    registry = Registry(str(tmp_path))
    publish_version(registry, model, "mine@1", data=DATA)
    path = tmp_path / "registry/mine/1" / file
    path.write_bytes(path.read_bytes().replace(b"compact", b"campact", 1))
    with pytest.raises(DamagedWeights, match=file):
        load_model(place_of("mine@1", str(tmp_path)))


def test_a_champion_that_was_exchanged_as_a_whole_is_not_loaded(model: str, other: str, tmp_path: Path) -> None:
    ours, theirs = Registry(str(tmp_path / "ours")), Registry(str(tmp_path / "theirs"))
    publish_version(ours, model, "mine@1", data=DATA)
    publish_version(theirs, other, "mine@1", data=DATA)
    ours.promote("mine@1", why="the first")
    for entry in theirs.folder("mine@1").list():
        ours.folder("mine@1").write(entry.key, theirs.folder("mine@1").read(entry.key))
    with pytest.raises(DamagedWeights, match="not the one that was published or promoted"):
        place_of("champion", ours.bucket.url)


def test_a_model_of_unknown_data_is_not_published(registry: Registry, model: str) -> None:
    with pytest.raises(UsageError, match="--data"):
        publish_version(registry, model, "mine@1")


def exchange(registry: Registry, reference: str, other: str, *, publication: bool = False) -> None:
    """All files of a version in place of those of another model, card and sums too, as who may write could."""
    theirs = Registry(f"{registry.bucket.url}-theirs")
    publish_version(theirs, other, reference, data=DATA)
    for entry in theirs.folder(reference).list():
        registry.folder(reference).write(entry.key, theirs.folder(reference).read(entry.key))
    if not publication:
        return
    for entry in registry.bucket.list("published"):
        registry.bucket.delete(entry.key)


@pytest.mark.parametrize("name", ["champion", "previous", "mine@1", "mine@2", "mine@3"])
@pytest.mark.parametrize("old", [False, True], ids=["recorded", "from before publications were recorded"])
def test_every_version_is_held_to_the_digest_that_was_recorded(
    name: str, old: bool, model: str, other: str, tmp_path: Path
) -> None:
    registry = Registry(str(tmp_path / "ours"))
    for reference in ("mine@1", "mine@2", "mine@3"):
        publish_version(registry, model, reference, data=DATA)
    registry.promote("mine@1", why="first")
    registry.promote("mine@2", why="second")
    meant = registry.exact(name)
    exchange(registry, meant, other, publication=old)
    if old and meant == "mine@3":  # never promoted, and no publication is recorded: read as it is
        assert registry.exact(name) == "mine@3"
        return
    with pytest.raises(DamagedWeights, match="not the one that was published or promoted"):
        place_of(name, registry.bucket.url)
    with pytest.raises((DamagedWeights, RegistryRefused)):
        registry.promote(meant, why="as it is now")


@pytest.mark.parametrize("name", ["champion", "previous", "mine@1"])
def test_a_promoted_version_is_held_to_its_promotion_although_its_publication_was_rewritten(
    name: str, model: str, other: str, tmp_path: Path
) -> None:
    registry = Registry(str(tmp_path / "ours"))
    for reference in ("mine@1", "mine@2"):
        publish_version(registry, model, reference, data=DATA)
        registry.promote(reference, why="good")
    meant = registry.exact(name)
    exchange(registry, meant, other)
    theirs = Registry(f"{registry.bucket.url}-theirs").bucket
    record = f"published/{meant.replace('@', '/')}.json"
    registry.bucket.write(record, theirs.read(record))
    with pytest.raises(DamagedWeights, match="not the one that was published or promoted"):
        place_of(name, registry.bucket.url)


@pytest.mark.parametrize("load", [load_model, read_card, load_detector, load_tone, verify_model])
@pytest.mark.parametrize("missing", [False, True], ids=["exchanged", "without its digests"])
def test_a_version_that_is_named_by_its_folder_is_held_to_its_record_as_well(
    load: Callable[[str], object], missing: bool, model: str, other: str, tmp_path: Path
) -> None:
    registry = Registry(str(tmp_path / "ours"))
    publish_version(registry, model, "mine@1", data=DATA)
    place = place_of("mine@1", registry.bucket.url)  # named once; a worker loads it a moment later
    load(place)
    if missing:
        registry.folder("mine@1").delete("SHA256SUMS")
    else:
        exchange(registry, "mine@1", other)
    for same in (place, f"file://{place}", os.path.relpath(place)):
        with pytest.raises(DamagedWeights, match="not the one that was published or promoted"):
            load(same)


def test_the_list_of_models_names_an_altered_version_and_goes_on(
    model: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(str(tmp_path / "ours"))
    publish_version(registry, model, "mine@1", data=DATA)
    publish_version(registry, model, "mine@2", data=DATA)
    exchange(registry, "mine@1", other)
    list_models(registry.bucket.url)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("mine@")}
    assert "cannot be used" in lines["mine@1"]
    assert "published" in lines["mine@1"]
    assert "compact" in lines["mine@2"]


def test_a_rollback_does_not_lead_to_an_altered_version(model: str, other: str, tmp_path: Path) -> None:
    registry = Registry(str(tmp_path / "ours"))
    for reference in ("mine@1", "mine@2"):
        publish_version(registry, model, reference, data=DATA)
        registry.promote(reference, why="better")
    exchange(registry, "mine@1", other)
    with pytest.raises(DamagedWeights, match="not the one"):
        registry.rollback(why="worse")


def test_a_version_pinned_to_other_files_is_not_completed_with_these(model: str, registry: Registry) -> None:
    registry.record_publication("mine@1", b"other sums")
    with pytest.raises(RegistryRefused, match="begun with other files"):
        publish_version(registry, model, "mine@1", data=DATA)
    assert registry.versions() == []


@pytest.mark.parametrize(
    "changed", [{"digest": 7}, {"champion": "../a@1"}, {"before": -1}, {"before": "1"}, {"more": 1}, {"action": []}]
)
def test_an_odd_promotion_is_refused_by_its_number(registry: Registry, changed: dict[str, object]) -> None:
    with_versions(registry, "m@1").promote("m@1", why="first")
    entry = json.loads(registry.bucket.read("promotions/00000001.json"))
    registry.bucket.write("promotions/00000002.json", json.dumps(entry | changed).encode())
    with pytest.raises(DamagedWeights, match="promotion 2 of"):
        registry.exact("champion")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"digest": "0"}'])
def test_a_damaged_record_of_a_publication_holds_its_version_back(registry: Registry, content: bytes) -> None:
    with_versions(registry, "m@1")
    registry.bucket.write("published/m/1.json", content)
    with pytest.raises(DamagedWeights, match=r"published/m/1\.json"):
        registry.exact("m@1")


def test_names_resolve_against_the_registry_of_the_environment(
    model: str, other: str, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="OLDPHOTO_REGISTRY"):
        load_model("champion")
    monkeypatch.setenv("OLDPHOTO_REGISTRY", bucket_url)
    registry = Registry()
    with pytest.raises(UnknownModel, match="no champion yet"):
        load_model("champion")
    for reference, source in (("mine@1", model), ("mine@2", other)):
        publish_version(registry, source, reference, data=DATA)
        registry.promote(reference, why="try")
    assert [load_model(name).card.name for name in ("champion", "previous", "mine@1")] == ["mine@2", "mine@1", "mine@1"]
    assert Restorer.load("champion", device="cpu").name == "mine@2"


def test_rolling_back_walks_the_promotions_back(registry: Registry) -> None:
    with_versions(registry, "m@1", "m@2", "m@3")
    for reference in ("m@1", "m@2", "m@3"):
        registry.promote(reference, why="better", who="ada")
    seen = [registry.rollback(why="worse after all") for _ in range(2)]
    assert [(entry.champion, entry.previous) for entry in seen] == [("m@2", "m@1"), ("m@1", None)]
    with pytest.raises(RegistryRefused, match="no champion to go back to"):
        registry.rollback(why="further")
    registry.promote("m@3", why="again")
    assert registry.rollback(why="no").champion == "m@1"
    told = [(number, entry.action, entry.champion) for number, entry in registry.history()]
    assert told[:4] == [
        (1, "promote", "m@1"), (2, "promote", "m@2"), (3, "promote", "m@3"), (4, "rollback", "m@2"),
    ]  # fmt: skip
    assert next(registry.history())[1].who == "ada"


def test_a_promotion_that_compared_with_another_champion_is_refused(registry: Registry) -> None:
    with_versions(registry, "m@1", "m@2", "m@3")
    registry.promote("m@1", why="first")
    registry.promote("m@2", why="beats m@1", replacing="m@1")
    with pytest.raises(RegistryRefused, match="m@1 is not the champion"):
        registry.promote("m@3", why="beats m@1", replacing="m@1")
    with pytest.raises(RegistryRefused, match="already"):
        registry.promote("m@2", why="twice")
    assert len(list(registry.history())) == 2


@pytest.mark.parametrize("name", ["mine", "mine@", "@1", "a/b@1", "mine@..", "champion@1", "m@1@2"])
def test_what_is_no_version_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NAME@VERSION"):
        Registry(str(tmp_path)).folder(name)


@pytest.fixture(scope="module")
def one_by_one(s3_endpoint: str) -> Iterator[str]:
    """The same S3 server, answering one request at a time: moto compares and puts in two steps, S3 does in one."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(params=["file", "s3"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry that processes share."""
    if request.param == "file":
        return str(tmp_path / "registry")
    import boto3

    endpoint = request.getfixturevalue("one_by_one")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    name = f"registry-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    return f"s3://{name}/models"


PROMOTER = """
import sys
from oldphoto_core.checkpoints.registry import Registry
registry, mine, count = Registry(sys.argv[1]), sys.argv[2], int(sys.argv[3])
registry.current()
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    registry.promote(f"m@{mine}-{number}", why=f"{mine} says so", who=mine)
"""


def test_of_promotions_by_many_processes_at_once_none_is_lost(shared_url: str) -> None:
    processes, each = 3, 4
    wanted = [f"m@{mine}-{number}" for mine in range(processes) for number in range(each)]
    registry = with_versions(Registry(shared_url), *wanted)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTER, shared_url, str(mine), str(each)],
            env=os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for mine in range(processes)
    ]
    for process in running:  # each waits at its first line until all have started
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.wait() for process in running] == [0] * processes
    history = list(registry.history())
    assert [number for number, _ in history] == list(range(1, len(wanted) + 1))
    assert sorted(entry.champion for _, entry in history) == sorted(wanted)
    told = [None, *(entry.champion for _, entry in history)]
    assert [entry.previous for _, entry in history] == told[:-1]
    now = registry.current()
    assert now is not None
    assert (registry.exact("champion"), registry.exact("previous")) == (told[-1], told[-2])
    for mine in range(processes):  # what one process did stands in the order in which it did it
        mines = [entry.champion for _, entry in history if entry.who == str(mine)]
        assert mines == [f"m@{mine}-{number}" for number in range(each)]


def test_of_many_who_create_the_same_object_one_succeeds(bucket_url: str) -> None:
    bucket, found = Bucket(bucket_url), []
    assert bucket.create("a/first", b"1")
    assert not bucket.create("a/first", b"2")
    assert bucket.read("a/first") == b"1"
    if bucket.scheme == "s3":
        return  # moto lets two threads through, see `one_by_one`
    started = threading.Barrier(8)

    def create(mine: int) -> None:
        started.wait()
        if bucket.create("contested", str(mine).encode()):
            found.append(str(mine).encode())

    threads = [threading.Thread(target=create, args=(mine,)) for mine in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [bucket.read("contested")]
    assert [entry.key for entry in bucket.list()] == ["a/first", "contested"]


def test_an_entry_is_written_once_and_its_writer_knows_it(bucket_url: str) -> None:
    journal = Journal(Bucket(bucket_url))
    assert journal.last() is None
    assert journal.append(0, b'{"by": "me"}')
    assert not journal.append(0, b'{"by": "you"}')
    assert journal.append(0, b'{"by": "me"}')  # as after a reply that was lost
    assert journal.append(1, b'{"by": "you"}')
    assert journal.last() == (2, b'{"by": "you"}')
    assert [json.loads(data)["by"] for _, data in journal.entries()] == ["me", "you"]
