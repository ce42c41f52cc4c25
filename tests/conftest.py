"""Fixtures that all tests share: real buckets of every kind, and real photos where somebody has them."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from left_out import pytest_terminal_summary as pytest_terminal_summary

MOST_WORKERS = 8
"""Each has a Prefect server and more of its own."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# torch and what else computes would take all cores in each worker, and those of the others with them
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))))


def pytest_xdist_auto_num_workers() -> int:
    """Workers that `-n auto` starts."""
    return min(MOST_WORKERS, cores())


@pytest.fixture(scope="module", autouse=True)
def memory_is_given_back() -> Iterator[None]:
    """After a file's tests glibc gives up what they freed: restorers have it keep that for the next photo of a run."""
    yield
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a system without glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, for the tests of one file; they are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A folder of real photos (old/, clean/, scans/), named by OLDPHOTO_TEST_DATA; tests that need it are skipped."""
    folder = os.environ.get("OLDPHOTO_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("OLDPHOTO_TEST_DATA names no folder of real photos")
    return Path(folder)


@pytest.fixture(scope="session")
def durable_store_tool() -> Path:
    """A script that starts and kills a durable S3 server, `real_s3.sh` in OLDPHOTO_TEST_TOOLS; skipped without it."""
    script = Path(os.environ.get("OLDPHOTO_TEST_TOOLS", "")) / "real_s3.sh"
    if not script.is_file():
        pytest.skip("OLDPHOTO_TEST_TOOLS names no folder with real_s3.sh")
    return script


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server on this machine's loopback, over HTTP; the environment leads to it and to nothing else."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        nowhere = str(tmp_path_factory.mktemp("aws") / "none")
        environment.setenv("AWS_CONFIG_FILE", nowhere)
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test-key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket_url(s3_endpoint: str) -> str:
    """A fresh, empty S3 bucket, with a folder in it."""
    import boto3

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=name)
    return f"s3://{name}/folder"


@pytest.fixture(params=["file", "memory", "s3"])
def bucket_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty bucket of each kind."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_bucket_url"))
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex[:12]}/folder"
    return str(tmp_path / "bucket")
