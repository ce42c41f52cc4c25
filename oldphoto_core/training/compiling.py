"""Networks compiled for training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from oldphoto_core.folders import use_private_compiler_cache

BACKEND = "inductor"


def compile_in_place(network: nn.Module) -> None:
    """Compiles what a stage calls: encoder, mapping and decoder by these names, or the network itself. Its weights and
    their names stay as they are.
    """
    import torch._functorch.config as functorch

    # a graph is kept while the gradients of several networks are asked for, so nothing of it may be reused
    functorch.donated_buffer = False
    use_private_compiler_cache()
    parts = [part for name, part in network.named_children() if name in ("encoder", "mapping", "decoder")]
    for part in parts or [network]:
        part.compile(backend=BACKEND)


def as_they_are(*, compiled: bool) -> AbstractContextManager[object]:
    """Compiled networks run uncompiled within: validation has sizes of its own, each of which would be compiled."""
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()
