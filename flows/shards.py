"""Where the shards of a run are restored: by this process, on each of its devices, or by the workers of a pool."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace

from prefect.events import emit_event
from prefect.logging import get_run_logger

from flows.artifacts import ProgressArtifact
from flows.progress import RestoreProgress
from flows.session.server import Steering
from flows.shard_runs import PrefectShardRuns, cancel, orphaned_runs
from oldphoto_core.devices import local_devices
from oldphoto_core.errors import RunStopped
from oldphoto_core.names import visible
from oldphoto_core.pipeline.callbacks import OnRow, ShardCallbacks
from oldphoto_core.runs import run as core
from oldphoto_core.runs.dispatcher import Dispatcher
from oldphoto_core.runs.ledger_rows import LedgerTail
from oldphoto_core.storage import LedgerRow
from tasks.restoration import restore_shard

SECONDS_FOR_ORPHANS = 120.0


def restore_shards(run: core.Run, check: Callable[[], None]) -> None:
    """All of them; `check` is called between photos, too. Raises RunStopped when too many fail, RunCancelled."""
    guard = core.FailureGuard(
        run.job.options,
        run.planned,
        warn_rate=run.job.warn_failure_rate,
        on_warning=lambda failed, last: _warn(run, failed, last),
    )
    shown = ProgressArtifact(run.run_id, run.planned)
    steering = Steering(stays=True)
    with RestoreProgress(run.planned) as progress:

        def settle(row: LedgerRow) -> None:
            progress.advance(row)
            shown.advance(row)
            guard.judge(row)
            steering.check()
            check()

        if run.job.pool:
            _restore_in_pool(run, run.job.pool, settle, steering)
        else:
            _restore_here(run, ShardCallbacks(on_row=settle, on_part=progress.part))


def _warn(run: core.Run, failed: int, last: LedgerRow) -> None:
    """Too many photos fail: a line in the log, and an event by which an automation may tell people."""
    get_run_logger().warning(
        "run %s: %d of %d photos have failed, more than %g of them; the last one is %s: %s",
        run.run_id,
        failed,
        run.planned,
        run.job.warn_failure_rate,
        visible(last.key),
        visible(last.detail),
    )
    emit_event(
        event="oldphoto.failure-rate",
        resource={"prefect.resource.id": f"oldphoto.run.{run.run_id}", "oldphoto.target": run.facts["target"]},
        payload={"failed": failed, "planned": run.planned, "key": last.key, "reason": last.reason},
    )


def _restore_here(run: core.Run, callbacks: ShardCallbacks) -> None:
    """One shard after another, on each device of this machine."""
    devices = local_devices(run.job.network.device)
    if len(devices) > 1:
        _restore_on_devices(run, devices, callbacks)
        return
    for number in range(len(run.shards)):
        restore_shard(run, number, callbacks)


def _restore_on_devices(run: core.Run, devices: list[str], callbacks: ShardCallbacks) -> None:
    """A thread for each device, which takes one shard after another; what ends one of them ends all."""
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(run.shards)):
        numbers.put(number)
    over, one_at_a_time = threading.Event(), threading.Lock()

    def settle_in_turn(row: LedgerRow) -> None:
        with one_at_a_time:
            callbacks.on_row(row)
        if over.is_set():
            raise RunStopped("the run ended on another device")

    def work(device: str) -> None:
        while not over.is_set():
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            restore_shard(run, number, replace(callbacks, on_row=settle_in_turn), device)

    with ThreadPoolExecutor(len(devices)) as threads:
        # each with this flow's context, so that its tasks are this flow's
        working = [threads.submit(contextvars.copy_context().run, work, device) for device in devices]
        try:
            ended, _ = wait(working, return_when=FIRST_EXCEPTION)
        finally:
            over.set()
    for future in ended:
        future.result()


def _restore_in_pool(run: core.Run, pool: str, settle: OnRow, steering: Steering) -> None:
    """Each shard as a run of its own, on whatever workers the pool has."""
    logger = get_run_logger()
    shards = PrefectShardRuns(run.job.target, run.run_id, pool)
    core.store_shards(run)
    logger.info("run %s: %d shards handed out", run.run_id, len(run.shards))
    follower = LedgerTail(run.bucket)

    def warn(line: str) -> None:
        logger.warning(visible(line))

    dispatcher = Dispatcher(run.shards, shards, follower, on_trouble=warn, on_look=steering.check)
    dispatcher.run(settle)
    core.give_up(run, dispatcher.left(), dispatcher.given_up)


def cancel_orphaned_runs(run_ids: list[str]) -> None:
    """The shards of runs whose coordinator was killed: told to end, and waited for, so that nobody does their photos
    twice. Those that do not end find their run closed."""
    deadline = time.monotonic() + SECONDS_FOR_ORPHANS
    while running := orphaned_runs(run_ids):
        cancel(running)
        if time.monotonic() > deadline:
            get_run_logger().warning("%d shards of killed runs do not end; they are left alone", len(running))
            return
        time.sleep(1.0)
