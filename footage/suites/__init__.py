"""Benchmark suites: VTAB-1k and the tasks of the pocket suite."""
