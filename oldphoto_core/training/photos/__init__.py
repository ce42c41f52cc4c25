"""From photographs, pairs and reviewed masks to batches."""
