"""JPEG files around their pixels: segments, faults of their structure, metadata, what follows the picture."""
