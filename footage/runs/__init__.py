"""Run folders: their layout, the records in them, and checkpoints."""
