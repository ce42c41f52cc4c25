"""Decoding in processes of their own.

`decoders` is what callers use. `pool` keeps the processes, each a `decoder` from the outside; `worker` is their side,
and gives up its rights in `confinement` (`landlock`, `seccomp`). `messages` and `memory` lie between.
"""
