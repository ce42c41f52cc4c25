"""Folders of this machine, and drives that it mounts, as buckets."""
