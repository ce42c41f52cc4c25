"""The report of a run: a static page with its numbers, charts and pictures, which opens from a disk or a bucket."""
