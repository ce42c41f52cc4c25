"""What people look at, and what accounts for a run: provenance records, summaries, contact sheets."""
