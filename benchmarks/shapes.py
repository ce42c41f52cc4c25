"""Shapes of the structure network, trained from fresh weights for equal CPU time, judged by structure PSNR.

    python benchmarks/shapes.py PHOTOS [--minutes 15] [--shapes NAME ...] [--seed 7] [--work FOLDER]

PHOTOS is a folder of clean photographs. A tenth of them, drawn by the digest of their names, is kept out of training
and judges. All shapes see the same pairs x -> y' of recipe `mixed` in the same order, half of them monochrome. Time is
CPU time of this process on one thread, so that other work beside it costs a shape nothing; the learning rate falls
along a cosine of the time that is gone. Results are printed as they come and kept in FOLDER, from which a second call
goes on; several processes may share it, each with shapes of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oldphoto_core.degradation import MixedRecipe, degrade, turned_grey
from oldphoto_core.metrics import structure_psnr
from oldphoto_core.nets.detail import DetailConfig, DetailPath
from oldphoto_core.nets.mapping import CompactMapping, CompactMappingConfig
from oldphoto_core.nets.presets import Triplet, count_flops, count_parameters
from oldphoto_core.nets.vae import CompactVAE, CompactVAEConfig
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.training.photos.cutting import reduced_crop, reflected, window

CANVAS, CROP, CROPS_OF_CANVAS, CANVASES = 256, 96, 4, 1500
JUDGED, JUDGED_SIDE = 96, 192
BATCH, LEARNING_RATE, DECAY = 16, 8e-4, 0.998

DENSE_VAE = CompactVAEConfig(half_width=32, quarter_width=64, block="dense")
# with the nonlocal block of `compact`, which is wider than that of preset `dense`
DENSE_MAPPING = CompactMappingConfig(width=64, blocks=2, deep_width=128, deep_blocks=4, block="dense")

Loss = Callable[[Tensor, Tensor], Tensor]


def compact(detail: DetailConfig | None = None) -> Triplet:
    """A triplet of preset `compact`, with a detail path if one is given."""
    return Triplet(CompactVAE(), CompactVAE(), CompactMapping(), detail and DetailPath(detail))


def dense(
    detail: DetailConfig, vae: CompactVAEConfig = DENSE_VAE, mapping: CompactMappingConfig = DENSE_MAPPING
) -> Triplet:
    """The same of dense blocks, narrower where gated ones are wide."""
    return Triplet(CompactVAE(vae), CompactVAE(vae), CompactMapping(mapping), DetailPath(detail))


def l1(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (made - wanted).abs().mean()


def frequencies(made: Tensor, wanted: Tensor) -> Tensor:
    """L1, and L1 between the Fourier transforms (orthonormal) at a tenth."""
    first, second = (torch.fft.rfft2(picture, norm="ortho") for picture in (made, wanted))
    return l1(made, wanted) + 0.1 * (first - second).abs().mean()


@dataclass(frozen=True)
class Shape:
    """One row of the table."""

    about: str
    build: Callable[[], nn.Module]
    loss: Loss = field(default=l1)


GATED_PATH, DENSE_PATH = DetailConfig(), DetailConfig(width=32, block="dense")
_DEEP = (
    replace(DENSE_VAE, quarter_blocks=2),
    replace(DENSE_MAPPING, blocks=1, deep_width=160, deep_blocks=6),
)
_SHALLOW = (
    replace(DENSE_VAE, quarter_width=80),
    replace(DENSE_MAPPING, width=80, deep_blocks=2),
)
SHAPES = {
    "compact": Shape("preset `compact` of the second edition: gated blocks, no way past the latent", compact),
    "detail": Shape("and a detail path (48 channels, two gated blocks)", lambda: compact(GATED_PATH)),
    "plain": Shape("dense 3x3 convolutions for gated blocks, 32, 64, 64, 128 channels", lambda: dense(GATED_PATH)),
    "plain detail": Shape("and dense blocks in the path, 32 channels", lambda: dense(DENSE_PATH)),
    "plain deep": Shape("plain, six blocks of 160 at an eighth of the resolution", lambda: dense(GATED_PATH, *_DEEP)),
    "plain shallow": Shape("plain, two blocks of 128 there, 80 at a quarter", lambda: dense(GATED_PATH, *_SHALLOW)),
    "frequencies": Shape("plain, and a tenth of L1 between Fourier transforms", lambda: dense(GATED_PATH), frequencies),
}


def photos_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """(training, judging)."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".webp", ".jpg", ".png", ".jpeg"))
    judging = [path for path in paths if hashlib.sha256(path.stem.encode()).digest()[0] % 10 == 0]
    return [path for path in paths if path not in set(judging)], judging


def pairs(paths: list[Path], count: int, canvas: int, crop: int, crops: int, seed: int) -> dict[str, np.ndarray]:
    """`count` degraded canvases, and crops of them: x (damaged pixels white), y' and masks, uint8."""
    recipe, made = MixedRecipe(), {"x": [], "y": [], "m": []}  # type: ignore[var-annotated]
    cache: dict[Path, np.ndarray] = {}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        path = paths[int(rng.integers(len(paths)))] if crops > 1 else paths[number % len(paths)]
        if path not in cache:
            cache[path] = to_rgb8(read_scan(path.read_bytes()).pixels)
        clean = reduced_crop(reflected(cache[path], canvas), canvas, 1 / 3, rng)
        grey = bool(rng.random() < 0.5)
        old = degrade(turned_grey(clean) if grey else np.ascontiguousarray(clean), recipe, rng, monochrome=grey)
        for _ in range(crops):
            where = window(clean.shape, crop, rng)
            x, mask = old.image[where].copy(), old.mask[where]
            x[mask] = 255
            made["x"].append(x)
            made["y"].append(old.toned[where])
            made["m"].append(mask.astype(np.uint8))
    return {name: np.stack(values) for name, values in made.items()}


def kept_pairs(photos: Path, work: Path, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Training and judging pairs, made once."""
    training, judging = photos_in(photos)
    found = []
    for name, paths, shape in (
        ("training", training, (CANVASES, CANVAS, CROP, CROPS_OF_CANVAS)),
        ("judging", judging, (JUDGED, JUDGED_SIDE, JUDGED_SIDE, 1)),
    ):
        file = work / f"{name}-{seed}.npz"
        if not file.exists():
            np.savez(file.with_suffix(".part.npz"), **pairs(paths, *shape, seed))
            file.with_suffix(".part.npz").rename(file)
        found.append(dict(np.load(file)))
    return found[0], found[1]


def tensors(data: dict[str, np.ndarray], chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """x and y' in [-1, 1], channels_last, and the mask, 1 = damaged."""
    x, y = (torch.from_numpy(data[name][chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1 for name in ("x", "y"))
    return x, y, torch.from_numpy(data["m"][chosen]).unsqueeze(1).float()


def gain(network: nn.Module, data: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Structure PSNR of input and output, mean over the judging pairs, and CPU seconds a megapixel."""
    before, after, spent, pixels = 0.0, 0.0, 0.0, 0
    network.eval()
    for number in range(len(data["x"])):
        x, y, mask = tensors(data, np.array([number]))
        x = x.contiguous(memory_format=torch.channels_last)
        begun = time.process_time()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            made = network(x, mask).float()
        spent += time.process_time() - begun
        pixels += x.shape[2] * x.shape[3]
        truth = (y + 1) / 2
        before += float(structure_psnr((x + 1) / 2, truth)[0])
        after += float(structure_psnr((made.clamp(-1, 1) + 1) / 2, truth)[0])
    count = len(data["x"])
    return before / count, after / count, 1e6 * spent / pixels


def train(shape: Shape, data: dict[str, np.ndarray], minutes: float, seed: int) -> tuple[nn.Module, int]:
    """The averaged network after that much CPU time, and its steps."""
    torch.manual_seed(seed)
    network = shape.build().to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY)
    )
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, (0.9, 0.99), weight_decay=0.0)
    rng, begun, step = np.random.default_rng(seed), time.process_time(), 0
    while (gone := (time.process_time() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * gone))
        x, y, mask = tensors(data, rng.integers(len(data["x"]), size=BATCH))
        with torch.autocast("cpu", torch.bfloat16):
            made = network(x.contiguous(memory_format=torch.channels_last), mask)
        loss = shape.loss(made.float(), y)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        averaged.update_parameters(network)
        step += 1
        if step % 100 == 0:
            print(f"  step {step}, {100 * gone:.0f} % of the time, loss {float(loss.detach()):.4f}", flush=True)
    return averaged.module, step


def results(names: list[str], photos: Path, minutes: float, seed: int, work: Path) -> Iterator[dict[str, object]]:
    """One a shape, from `work` where it is there."""
    training, judging = kept_pairs(photos, work, seed)
    for name in names:
        file = work / f"{name.replace(' ', '-')}-{minutes:g}-{seed}.json"
        if not file.exists():
            network, steps = train(SHAPES[name], training, minutes, seed)
            before, after, cost = gain(network, judging)
            flops = count_flops(SHAPES[name].build(), 256, 256) / 256**2
            parameters = count_parameters(network)
            file.write_text(json.dumps({
                "shape": name, "about": SHAPES[name].about, "parameters": parameters, "flops_per_pixel": flops,
                "steps": steps, "input": before, "output": after, "cpu_seconds_per_megapixel": cost,
            }))  # fmt: skip
        yield json.loads(file.read_text())


def main() -> None:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path, default=Path("shapes"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    for row in results(options.shapes, options.photos, options.minutes, options.seed, options.work):
        gained = float(row["output"]) - float(row["input"])  # type: ignore[arg-type]
        print(
            f"| {row['shape']} | {row['about']} | {row['parameters'] / 1e6:.2f} | {row['flops_per_pixel'] / 1e3:.0f} | "  # type: ignore[operator]
            f"{row['steps']} | {gained:+.2f} | {row['cpu_seconds_per_megapixel']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
