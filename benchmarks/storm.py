"""What a bad day of the store costs a run: the same photos from and to an S3 server, on a quiet day and in a storm.

    python benchmarks/storm.py [--photos 500] [--rate 0.05] [--seconds 0.05]

The storm is that of the tests (tests/support/storms.py): a proxy before a local S3 server, through which all requests
go on both days. The network is a stub that takes `--seconds` a photo. What the client waited on purpose, back-off and
unanswered requests, is counted, over all threads; some of it overlaps with work.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

import boto3
import botocore.retryhandler
from fakes import InvertingRestorer
from moto.server import ThreadedMotoServer
from runs import put, restore
from storms import storm_before

from oldphoto_core.restoration import register_restorer
from oldphoto_core.storage import Bucket, s3_client

waited: list[float] = []


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--photos", type=int, default=500)
    arguments.add_argument("--rate", type=float, default=0.05)
    arguments.add_argument("--seconds", type=float, default=0.05)
    chosen = arguments.parse_args()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    os.environ.update({f"AWS_{name}": value for name, value in environment.items()})
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="weather")
    register_restorer("stub", lambda device: InvertingRestorer(name="stub", seconds=chosen.seconds))
    listen()
    with storm_before(f"http://{host}:{port}", seed=1, stall_seconds=s3_client.STALL_SECONDS + 1) as (storm, url):
        os.environ["AWS_ENDPOINT_URL"] = url
        put(Bucket("s3://weather/old"), [f"{number:04}.jpg" for number in range(chosen.photos)])
        run("warming up", "s3://weather/first")
        quiet = run("quiet", "s3://weather/quiet")
        waited.clear()
        storm.rate = chosen.rate
        rough = run("storm", "s3://weather/storm")
        storm.rate = 0.0
    server.stop()
    stalls = storm.hits["stall"] * s3_client.STALL_SECONDS
    print(f"faults: {dict(storm.hits)}; back-off {sum(waited):.1f} s, unanswered {stalls:.1f} s, over all threads")
    print(f"{100 * (rough / quiet - 1):+.1f} % of the time of a quiet day")


def run(day: str, target: str) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    summary = restore(Bucket("s3://weather/old"), Bucket(target), model="stub", report=False)
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{summary[name]} {name}" for name in ("restored", "failed"))  # type: ignore[literal-required]
    print(f"{day:10} {seconds:6.1f} s  {counts}", flush=True)
    return seconds


def listen() -> None:
    """Notes every pause of the two that back off: botocore and the storage room."""
    delay: Callable[..., float] = botocore.retryhandler.delay_exponential
    sleep = time.sleep

    def noted(**growth: Any) -> float:
        waited.append(delay(**growth))
        return waited[-1]

    class Clock:
        @staticmethod
        def sleep(seconds: float) -> None:
            waited.append(seconds)
            sleep(seconds)

    botocore.retryhandler.delay_exponential = noted
    s3_client.time = Clock  # type: ignore[assignment]


if __name__ == "__main__":
    main()
