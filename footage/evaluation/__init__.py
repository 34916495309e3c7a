"""Evaluate models on labelled folders, suites of tasks and held-out videos, next to baselines."""
