"""The `BaseWorker` of Prefect's behind infra/worker.py."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from prefect.events import emit_event
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from infra.bench import Bench, Ended
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.runs.shard_store import note_death
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio.abc
    from prefect.client.schemas.objects import FlowRun

TYPE = "oldphoto"
BEAT_SECONDS = 30.0


class ShardResult(BaseWorkerResult):
    """How a run ended."""


class ShardWorker(BaseWorker[BaseJobConfiguration, BaseVariables, ShardResult]):
    """One run at a time for each bench."""

    type = TYPE
    _description = "Restores shards of old photos in processes that keep their model: python -m infra.worker"
    _display_name = "oldphoto"

    def __init__(self, benches: list[Bench], **options: Any) -> None:
        super().__init__(limit=len(benches), **options)
        self.benches = benches
        self._idle = list(benches)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ShardResult:
        """Have it restored; a process that dies is told by its exit code, what it died of is noted in the bucket."""
        bench = self._idle.pop()
        try:
            pid = await to_thread.run_sync(lambda: bench.pid)
            if task_status is not None:
                task_status.started(pid)
            async with anyio.create_task_group() as group:
                group.start_soon(self._beat, flow_run)
                ended = await to_thread.run_sync(bench.restore, str(flow_run.id))
                group.cancel_scope.cancel()
            if ended.holding:
                await to_thread.run_sync(self._note, flow_run, ended)
        finally:
            self._idle.append(bench)
        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(self._take_the_next)
        return ShardResult(status_code=ended.code, identifier=f"{bench.name}, process {pid}")

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: BaseJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Nothing: a cancelled run that has not begun is refused by the server when it wants to begin."""

    def hand_back(self) -> None:
        """Have all processes end; Prefect is told by them."""
        for bench in self.benches:
            bench.stop()

    async def _beat(self, flow_run: FlowRun) -> None:
        """As the flow itself would, but whatever its process is busy with."""
        tags = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in flow_run.tags]
        resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name}
        while True:
            emit_event(event="prefect.flow-run.heartbeat", resource=resource, related=tags)
            await anyio.sleep(BEAT_SECONDS)

    async def _take_the_next(self) -> None:
        """At once, and not when the next query is due; this run's place is free in a moment."""
        await anyio.sleep(0.1)
        await self.get_and_submit_flow_runs()

    def _note(self, flow_run: FlowRun, ended: Ended) -> None:
        given = flow_run.parameters
        run = Bucket(given["target"]).join("runs", given["run_id"])
        try:
            note_death(run, given["number"], ended.holding, ended.how)
        except OldPhotoError as error:
            self._logger.warning("what a process died of could not be noted: %s", error)


async def work(worker: ShardWorker, say: Callable[[str], None], with_healthcheck: bool = False) -> None:
    """Until SIGTERM or SIGINT."""
    async with anyio.create_task_group() as group:
        for bench in worker.benches:
            group.start_soon(to_thread.run_sync, bench.start)
        group.start_soon(lambda: worker.start(printer=say, with_healthcheck=with_healthcheck))
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                say(f"{signal.Signals(number).name}: handing back what is worked on")
                worker.hand_back()
                group.cancel_scope.cancel()
                break
