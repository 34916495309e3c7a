"""Search in frame stores: features of all frames, nearest shots, near-duplicates."""
