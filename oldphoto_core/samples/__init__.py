"""A small collection of "old" photographs for the demo, made from the ones that ship inside scikit-image."""

from oldphoto_core.samples.collection import SAMPLES, Sample, make_collection, read_clean

__all__ = ["SAMPLES", "Sample", "make_collection", "read_clean"]
