"""Decoding in processes of their own: `pool` is this process's side, `worker` is theirs, `messages` lies between."""
