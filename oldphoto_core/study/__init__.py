"""Blind studies: people rank what several methods made of the same photos, without knowing which method made what."""
