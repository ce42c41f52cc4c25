"""One of several processes that train a stage together, and how a machine starts them.

torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:PORT -m oldphoto_core.training.process \\
    --config '{"stage": "mapping", "preset": "paper"}' --clean URL --old URL --out URL --device cuda
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from oldphoto_core.errors import ConfigError, OldPhotoError, TrainingError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.storage import Bucket
from oldphoto_core.training.config import StageConfig, config_from_record
from oldphoto_core.training.defaults import default_config
from oldphoto_core.training.loop import Progress
from oldphoto_core.training.process_group import STORE, ProcessGroup, joined
from oldphoto_core.training.provenance import pinned
from oldphoto_core.training.run import finished, train_stage


def main() -> None:
    """Trains as one of those that the environment names; the first writes a line of JSON a step."""
    parser = argparse.ArgumentParser(prog="python -m oldphoto_core.training.process", description=__doc__)
    parser.add_argument("--config", required=True, help="fields of StageConfig as JSON; stage is needed")
    for name in ("clean", "old", "out"):
        parser.add_argument(f"--{name}", required=True, metavar="URL")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    try:
        config = config_from_json(options.config)
        with joined() as group:
            places = (Bucket(options.clean), Bucket(options.old), Bucket(options.out))
            train_stage(config, *places, _said_by(group), options.device, group)
    except OldPhotoError as error:
        sys.stderr.write(f"oldphoto: {error}\n")
        sys.exit(error.exit_code)


def config_from_json(text: str) -> StageConfig:
    """The config of a stage with the fields that are given, the others by its preset; ConfigError."""
    try:
        given = json.loads(text)
        return config_from_record(default_config(given["stage"], given.get("preset", "compact")).record() | given)
    except OldPhotoError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{text!r} is no JSON object of fields of StageConfig, with a stage: {error}") from error


def train_here(
    config: StageConfig, clean: str, old: str, out: str, progress: Progress, device: str, processes: int = 1
) -> dict[str, Any]:
    """`train_stage` of places by URL, in this process or in several of this machine; returns what it cost.

    A detector with norms over the whole batch is trained in one process whatever was asked.
    """
    over_batch = config.stage == "scratches" and preset_named(config.preset).detector.norms_over_batch
    processes = 1 if over_batch else processes
    places = Bucket(clean), Bucket(old), Bucket(out)
    config = pinned(config, device, places[2].join(config.stage))
    if processes > 1 and finished(config, places[2].join(config.stage)) is None:
        train_in_processes(config, clean, old, out, progress, device, processes)
    return train_stage(config, *places, progress, device)


def train_in_processes(
    config: StageConfig, clean: str, old: str, out: str, progress: Progress, device: str, processes: int
) -> None:
    """Trains a stage in so many processes of this machine, one for each CUDA device or some of a CPU's cores each.

    Nothing listens beyond loopback. When one fails the others are ended, and TrainingError has their last words.
    """
    with temporary_folder("training") as folder, ExitStack() as stack:
        command = [
            sys.executable, "-P", "-m", "oldphoto_core.training.process", "--config", json.dumps(config.record()),
            "--clean", clean, "--old", old, "--out", out, "--device", device,
        ]  # fmt: skip
        running = [stack.enter_context(_process(command, rank, processes, folder)) for rank in range(processes)]
        first, *others = running
        for other in others:
            threading.Thread(target=_end_with, args=(other, first), daemon=True).start()
        assert first.stdout is not None
        for line in first.stdout:
            said = json.loads(line)
            progress(said["step"], said["steps"], said["values"])
        for process in running:
            process.wait()
        if any(process.returncode for process in running):
            words = [_last_words(rank, folder) for rank, process in enumerate(running) if process.returncode]
            raise TrainingError(f"of {processes} processes {len(words)} failed: {'; '.join(dict.fromkeys(words))}")


def _end_with(other: subprocess.Popen[str], first: subprocess.Popen[str]) -> None:
    """Ends the first if the other fails, which it might wait for: it speaks for all, and all end with it."""
    if other.wait():
        first.kill()


def _last_words(rank: int, folder: str) -> str:
    with open(f"{folder}/{rank}.err") as errors:
        lines = [line for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else f"process {rank} was killed"


def _said_by(group: ProcessGroup) -> Progress:
    def say(step: int, steps: int, values: dict[str, float]) -> None:
        sys.stdout.write(json.dumps({"step": step, "steps": steps, "values": values}) + "\n")
        sys.stdout.flush()

    return say if group.is_first else lambda step, steps, values: None


@contextmanager
def _process(command: list[str], rank: int, size: int, folder: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "PYTHONSAFEPATH": "1",
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
        STORE: f"{folder}/store",
    }  # fmt: skip
    # each its share of the cores: if all had threads on every core they would wait for each other most of the time
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with open(f"{folder}/{rank}.err", "w") as errors:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
