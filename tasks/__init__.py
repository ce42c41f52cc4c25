"""Prefect tasks that flows share: a signature, one call into `oldphoto_core`, one log line."""
