"""`make fleet`: all of oldphoto on one machine, on loopback, and a run from a notification to the restored photos.

    S3 store and queue (moto) --notification--> poller --event--> Prefect server --run of restore--> coordinator
                              MinIO's, curl's --> receiver --^          ^--runs of restore-shard-->|
                                                                        +--> one of two workers

What is started is stopped at the end. The same fleet is what tests/infra/test_fleet.py works with.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.terminal import show
from flows.session.surroundings import prepare_process
from infra.postgres import Postgres, programs_of_postgres
from infra.prefect_events import runs_of
from infra.processes import Processes, answers, free_port
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.storage import Bucket

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = "s3://archive/scans", "s3://access/restored"
POOL, SHARD_POOL = "oldphoto", "gpu"
WORKERS = 2


class Fleet:
    """Everything in `folder`: databases, logs, spools, secrets. Nothing runs before `start`.

    Use it as a context manager: what was started is stopped at the end. Prefect's database is PostgreSQL where that is
    installed, as in a real fleet, else SQLite.
    """

    def __init__(self, folder: Path, quiet_seconds: float = 5.0) -> None:
        self.folder = folder
        self.api = f"http://127.0.0.1:{free_port()}/api"
        self.store = f"http://127.0.0.1:{free_port()}"
        self.receiver = f"http://127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(32)
        self.auth_string = f"oldphoto:{secrets.token_urlsafe(32)}"
        self.queue = ""
        programs = programs_of_postgres()
        self.postgres = Postgres(programs) if programs else None
        self.processes = Processes(ROOT, folder / "logs", self._environment(quiet_seconds))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *error: object) -> None:
        self.processes.stop_all()
        if self.postgres is not None:
            self.postgres.remove()

    def start(self, workers: int = WORKERS, *, receivers: bool = True) -> None:
        """The store first, then Prefect with its deployments, workers and receivers. Raises NotStarted."""
        _write_secret(self.folder / "token", self.token)
        _write_secret(self.folder / "prefect-auth", self.auth_string)
        # children read them from their environment, and so does this process
        os.environ.update({name: self.processes.environment[name] for name in _SHARED})
        port = self.store.rpartition(":")[2]
        self.processes.start("store", "moto.server", "-H", "127.0.0.1", "-p", port)
        if self.postgres is not None:
            self.postgres.start(self.processes)
        self.start_server()
        self.processes.wait("store", lambda: answers(f"{self.store}/moto-api/"))
        self._make_buckets()
        self.processes.wait("server", lambda: answers(f"{self.api}/health"))
        self.processes.run("deploy", "infra.deploy")
        self.start_coordinator()
        for number in range(1, workers + 1):
            self.start_worker(number)
        if receivers:
            self.start_receivers()

    def start_coordinator(self) -> None:
        """Prefect's own worker, for the runs of `restore` and everything else that is no shard."""
        self.processes.start(
            "coordinator", "prefect", "worker", "start", "--pool", POOL, "--name", "coordinator", "--limit", "2"
        )

    def start_worker(self, number: int, *options: str) -> None:
        """A worker that restores shards."""
        name = f"worker-{number}"
        self.processes.start(name, "infra.worker", "--pool", SHARD_POOL, "--device", "cpu", "--name", name, *options)

    def start_server(self) -> None:
        """Prefect's server; again after it was stopped, with what it knew."""
        port = self.api.removesuffix("/api").rpartition(":")[2]
        environment = dict(self.processes.environment)
        environment["PREFECT_SERVER_API_AUTH_STRING"] = self.auth_string
        environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = self.api.removesuffix("/api")
        if self.postgres is not None:
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self.postgres.url
        command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui")
        self.processes.start_program("server", sys.executable, "-P", "-m", *command, env=environment)

    def start_receivers(self) -> None:
        """The HTTP receiver, and the poller of the bucket's queue."""
        self.processes.environment["OLDPHOTO_SPOOL"] = str(self.folder / "spool-http")
        self.processes.start("receiver", "infra.receiver")
        self.processes.environment["OLDPHOTO_SPOOL"] = str(self.folder / "spool-sqs")
        self.processes.start("poller", "infra.sqs_poller", "--queue-url", self.queue)
        self.processes.wait("receiver", lambda: answers(f"{self.receiver}/health"))

    def _make_buckets(self) -> None:
        import botocore.session

        session = botocore.session.get_session()
        s3: Any = session.create_client("s3")
        sqs: Any = session.create_client("sqs")
        for bucket in (SOURCE, TARGET):
            s3.create_bucket(Bucket=bucket.split("/")[2])
        self.queue = sqs.create_queue(QueueName="oldphoto-arrivals")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        told = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        s3.put_bucket_notification_configuration(Bucket=SOURCE.split("/")[2], NotificationConfiguration=told)

    def _environment(self, quiet_seconds: float) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PREFECT_"))}
        nowhere = str(self.folder / "no-such-file")
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_API_AUTH_STRING": self.auth_string,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "AWS_ENDPOINT_URL": self.store,
            "AWS_ACCESS_KEY_ID": "fleet",
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "OLDPHOTO_HOME": str(ROOT),
            "OLDPHOTO_SOURCE": SOURCE,
            "OLDPHOTO_TARGET": TARGET,
            "OLDPHOTO_POOL": SHARD_POOL,
            "OLDPHOTO_TOKEN_FILE": str(self.folder / "token"),
            "OLDPHOTO_RECEIVER_PORT": self.receiver.rpartition(":")[2],
            "OLDPHOTO_QUIET_SECONDS": f"{quiet_seconds:g}",
        }


_SHARED = (
    "PREFECT_HOME",
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_EC2_METADATA_DISABLED",
)


def _write_secret(path: Path, content: str) -> None:
    """A file that its owner alone may read, from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)


def wait_for_runs(count: int, seconds: float = 600) -> list[dict[str, Any]]:
    """The runs of `restore`, oldest first, as soon as `count` of them have ended."""
    deadline = time.monotonic() + seconds
    while True:
        runs = runs_of("restore", since=0.0)
        ended = [run for run in runs if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")]
        if len(ended) >= count:
            return sorted(ended, key=lambda run: str(run["start_time"]))
        if time.monotonic() > deadline:
            raise OldPhotoError(f"{len(ended)} of {count} runs ended within {seconds:.0f} s")
        time.sleep(1.0)


def main(
    scans: Annotated[Path | None, typer.Option(help="Folder of photos to drop; none: those of the demo.")] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep it running until Ctrl-C.")] = False,
) -> None:
    """Start a fleet, drop photos into its bucket, show the run, stop everything."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    prepare_process()
    with temporary_folder("fleet") as folder:
        fleet = Fleet(Path(folder))
        with fleet:
            typer.echo(f"starting {WORKERS} workers and all that they need; logs in {fleet.processes.logs} ...")
            fleet.start()
            for name, process in fleet.processes.running.items():
                typer.echo(f"  {name:10} pid {process.pid}")
            typer.echo(f"Prefect {fleet.api}, store {fleet.store}, receiver {fleet.receiver}/arrivals")
            count = _drop(scans)
            typer.echo(f"{count} scans dropped into {SOURCE}; the bucket notifies, 5 s of quiet gather them ...")
            _show(wait_for_runs(1)[0])
            if stay:
                auth = fleet.folder / "prefect-auth"
                typer.echo(f"PREFECT_API_URL={fleet.api} PREFECT_API_AUTH_STRING=$(cat {auth})")
                typer.echo(f"AWS_ENDPOINT_URL={fleet.store}; Ctrl-C stops everything")
                signal.pause()
    typer.echo("everything is stopped")


def _drop(scans: Path | None) -> int:
    source = Bucket(SOURCE)
    if scans is None:
        from oldphoto_core.samples.collection import make_collection

        return len(make_collection(source, Bucket("s3://access/masks")))
    found = list(Bucket(scans).list())
    for item in found:
        source.write(item.key, (scans / item.key).read_bytes())
    return len(found)


def _show(run: dict[str, Any]) -> None:
    show(f"run {run['name']}: {run['state_name']}, keys from {run['parameters'].get('keys')}")
    target = Bucket(TARGET)
    for run_id in target.folders("runs"):
        summary = json.loads(target.read(f"runs/{run_id}/summary.json"))
        counts = ", ".join(f"{summary[name]} {name}" for name in ("found", "restored", "skipped", "failed"))
        typer.echo(f"ledger of {run_id}: {counts}, {summary['megapixels']} megapixels in {summary['seconds']} s")
    for item in target.list("photos"):
        show(f"  {target}/{item.key}  {item.size} bytes")


if __name__ == "__main__":
    try:
        typer.run(main)
    except OldPhotoError as error:
        raise SystemExit(f"fleet: {error}") from None
