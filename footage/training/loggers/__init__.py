"""Metric loggers, one file each, and their registry; metrics.jsonl is always written, too."""
