"""File formats: which there are, and how each of them is recognised, read and written."""
