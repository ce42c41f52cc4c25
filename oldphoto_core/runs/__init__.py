"""A run in a target: planned, cut into shards, restored here or handed out, recovered after a kill, finalised.

`run` has one function for each step that a flow's tasks call; `shard` is what a worker restores.
"""
