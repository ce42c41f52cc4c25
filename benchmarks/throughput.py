"""Speed of both presets, whole and in parts: MP/s, share of the convolution peak, seconds per stage; `make bench`.

    python benchmarks/throughput.py [--quick] [--device cpu] [--compact 4] [--paper 1] [--memory 500e6] [--runs 3]
                                    [--photos 8] [--skip plain precision batch] [--out benchmarks/results]

    --quick      tiny sizes and one run: to try the script
    --device     measure on this device alone; by default on the CPU and, where there is one, on CUDA
    --compact    megapixels of the photo for preset `compact`, whole and in tiles
    --paper      megapixels of the photo for preset `paper`, whole and layer by layer
    --memory     bytes that a photo in parts may take: small enough that neither photo fits
    --runs       of which the best counts
    --photos     JPEGs of 2 megapixels in the batch; 8 on a CPU and 100 on CUDA unless given
    --skip       comparisons to leave out
    --out        folder for the results as JSON, one file a device

The photo is a sample enlarged, as a JPEG; weights are random, with a fixed seed, which changes no time. MP/s are those
of restoring decoded pixels to pixels. Operations are those of the whole picture by plain convolutions, so context
computed twice lowers GFLOP/s, and convolutions with fewer products raise them. The peak is the best of five 3x3
convolutions, 512 to 512 channels at 128 x 128, channels_last, in the arithmetic of the row. Stages are the seconds of
the best run; layer by layer they end with the last convolution stored of each network.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import plain_forward
import precision
import torch
from measuring import (
    NOT_MEASURED,
    convolution_peak,
    each,
    enlarged,
    machine,
    networks_of,
    random_model,
    seconds,
    synchronise,
)
from stage_clocks import Stages, by_layers, by_modules

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import Detector
from oldphoto_core.inference.finder import DamageFinder
from oldphoto_core.nets import count_flops, preset_named
from oldphoto_core.restoration import NetworkOptions, Photo, RestoreOptions, restore_photos
from oldphoto_core.scans import read_scan, write_scan
from oldphoto_core.storage import Bucket

WAYS = {"compact": "in tiles", "paper": "layer by layer"}
BATCH_MEGAPIXELS = 2.0
EVERYTHING = 1e12
"""Bytes of memory with which every photo is restored whole."""


@dataclass
class Row:
    """One preset, one way, one device."""

    preset: str
    way: str
    precision: str
    megapixels: float
    mp_per_second: float
    gflops_per_second: float
    share_of_peak: float
    memory: float | None
    stages: dict[str, float] = field(default_factory=dict)


def measure(preset: str, device: str, options: argparse.Namespace, *, parts: bool, compiled: bool = False) -> Row:
    """Best of some runs of restoring one photo, whole or in parts."""
    memory = options.memory if parts else EVERYTHING
    restorer = Restorer(random_model(preset), NetworkOptions(device=device, memory=memory), compiled=compiled)
    data = jpeg(getattr(options, preset))
    scan = read_scan(data)
    timed = partial(by_layers if parts and preset == "paper" else by_modules, restorer, scan.pixels)
    timed()  # memory is taken, kernels are chosen
    best, stages = min((timed() for _ in range(options.runs)), key=lambda run: run[0])
    finder = DamageFinder(Detector(preset_named(preset).detector().eval(), 0.5), "", restorer.device, restorer.memory)
    marks = ArrayCanvas(np.empty((*scan.pixels.shape[:2], 1), np.uint8))
    files = {
        "read_file": seconds(lambda: read_scan(data)),
        "detect": seconds(lambda: finder.find(ArrayCanvas(scan.pixels), marks, lambda *_: None), device),
        "write_file": seconds(lambda: write_scan(scan, scan.pixels)),
    }
    height, width = scan.pixels.shape[:2]
    operations = count_flops(preset_named(preset).triplet(), height // 8 * 8, width // 8 * 8)
    kind = restorer.arithmetic(scan.pixels.dtype)
    # layers are computed in float32 whatever tiles are computed in
    peak = convolution_peak(device, "float32" if parts and preset == "paper" else kind)
    return Row(
        preset=preset,
        way=(WAYS[preset] if parts else "whole") + (", compiled" if compiled else ""),
        precision=kind,
        megapixels=height * width / 1e6,
        mp_per_second=height * width / 1e6 / best,
        gflops_per_second=operations / best / 1e9,
        share_of_peak=operations / best / peak,
        memory=options.memory if parts else None,
        stages={**({} if compiled else stages), **files},
    )


def jpeg(megapixels: float) -> bytes:
    """A sample photograph of about that size, 8 bits."""
    return bytes((enlarged(megapixels) / 257).cast("uchar").copy(interpretation="srgb").jpegsave_buffer(Q=92))


def batch(device: str, photos: int) -> dict[str, float]:
    """JPEGs of 2 megapixels from file to file: MP/s, and the share of the time in which the network was computing."""
    restorer = Restorer(random_model("compact"), NetworkOptions(device=device, memory=4e9))
    stages = Stages(networks_of(restorer), restorer.device)
    data = jpeg(BATCH_MEGAPIXELS)
    restorer.restore(read_scan(data).pixels)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Bucket(Path(folder) / "source"), Bucket(Path(folder) / "target")
        for number in range(photos):
            source.write(f"{number:04}.jpg", data)
        listed = [Photo(one.key, one.version, one.size) for one in source.list()]
        stages.begin()
        restore_photos(restorer, source, target, listed, RestoreOptions())
    synchronise(device)
    # from the network's first photo to its last: Dask's start is paid once a run
    span = stages.span()
    return {
        "photos": photos,
        "mp_per_second": photos * BATCH_MEGAPIXELS / span,
        "network_share": sum(stages.spent().values()) / span,
    }


HEADER = (
    "| device | preset | way | arithmetic | photo (MP) | MP/s | GFLOP/s | share of peak"
    " | read file (s) | detect (s) | encode (s) | map (s) | decode (s) | write file (s) |",
    "|---" * 14 + "|",
)


def line(device: str, row: Row) -> str:
    """One of the table."""
    names = ("read_file", "detect", *Stages.NAMES, "write_file")
    spent = [f"{row.stages[name]:.2f}" if name in row.stages else "not available" for name in names]
    way = row.way + (f" ({row.memory / 1e6:,.0f} MB)" if row.memory else "")
    rate = f"{row.mp_per_second:.3f} | {row.gflops_per_second:,.0f} | {row.share_of_peak:.0%}"
    return (
        f"| {device} | {row.preset} | {way} | {row.precision} | {row.megapixels:.2f} | {rate} | {' | '.join(spent)} |"
    )


def without_a_gpu() -> Iterator[str]:
    """What the table says of CUDA then."""
    for preset, way in WAYS.items():
        for one in ("whole", way):
            yield f"| CUDA | {preset} | {one} " + f"| {NOT_MEASURED} " * 11 + "|"


def report(result: dict[str, Any], rows: list[Row]) -> str:
    """Everything measured on one device, as Markdown."""
    by_preset = {row.preset: row.mp_per_second for row in rows if row.way == "whole"}
    lines = [
        *HEADER,
        *(line(result["device"], row) for row in rows),
        *(() if result["kind"] == "cuda" or torch.cuda.is_available() else without_a_gpu()),
        "",
        f"Peak: {', '.join(f'{name} {value:,.0f} GFLOP/s' for name, value in result['peak_gflops'].items())}.",
        f"`compact` restores {by_preset['compact'] / by_preset['paper']:.1f} times as many MP/s as `paper` (bar: 10).",
    ]
    if "batch" in result:
        made = result["batch"]
        lines += [
            f"{made['photos']:.0f} JPEGs of {BATCH_MEGAPIXELS:g} MP, file to file, preset `compact`:"
            f" {made['mp_per_second']:.3f} MP/s, the network computing {made['network_share']:.0%} of the time"
            " (bar on CUDA: 90%)."
        ]
    if "plain" in result:
        lines += ["", plain_forward.table(result["plain"])]
    if "precision" in result:
        lines += ["", precision.table(result["precision"])]
    return "\n".join(lines)


def on_device(device: str, options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    """Measures everything asked for."""
    cuda = device.startswith("cuda")
    kinds = ["float32", "float16"] if cuda else ["float32"]
    rows = [
        (f"{device}: {preset}, {way}", partial(measure, preset, device, options, parts=way != "whole"))
        for preset in WAYS
        for way in ("whole", WAYS[preset])
    ]
    if cuda:
        made = partial(measure, "compact", device, options, parts=True, compiled=True)
        rows.append((f"{device}: compact, compiled", made))
    more: dict[str, Any] = {
        "peak_gflops": lambda: {kind: convolution_peak(device, kind) / 1e9 for kind in kinds},
        "batch": lambda: batch(device, options.photos or (100 if cuda else 8)),
        "precision": lambda: precision.compare(device, "starter", 2 if options.quick else 8),
    }
    if not cuda:
        size, runs = (0.05, 1) if options.quick else (0.5, options.runs)
        more["plain"] = lambda: [plain_forward.compare(size, runs, block=block) for block in (True, False)]
    wanted = {name: job for name, job in more.items() if name not in options.skip}
    measured = list(each([*rows, *((f"{device}: {name}", job) for name, job in wanted.items())]))
    result = {
        "kind": "cuda" if cuda else "cpu",
        "device": machine(device),
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "rows": [asdict(row) for row in measured[: len(rows)]],
        **dict(zip(wanted, measured[len(rows) :], strict=True)),
    }
    return result, measured[: len(rows)]


def main() -> None:
    """Measures, prints, writes."""
    options = parsed()
    devices = [options.device] if options.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    options.out.mkdir(parents=True, exist_ok=True)
    for device in devices:
        result, rows = on_device(device, options)
        path = options.out / f"{result['kind']}.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(f"{report(result, rows)}\n\nwritten to {path}\n", flush=True)


def parsed() -> argparse.Namespace:
    """Options, those of --quick put in their places."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device")
    parser.add_argument("--compact", type=float, default=4.0)
    parser.add_argument("--paper", type=float, default=1.0)
    parser.add_argument("--memory", type=float, default=500e6)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--photos", type=int)
    parser.add_argument("--skip", nargs="*", default=(), choices=("plain", "precision", "batch"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.quick:
        options.compact, options.paper, options.memory, options.runs, options.photos = 0.5, 0.1, 100e6, 1, 3
    return options


if __name__ == "__main__":
    main()
