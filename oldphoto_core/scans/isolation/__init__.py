"""Decoding in processes of their own.

`decoders` is what callers use. `pool` keeps the processes, each a `decoder` from the outside; `worker` is their side,
and `messages` lies between.
"""
