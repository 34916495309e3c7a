"""Experiments that are not recipes: the footage they learn from, and what it is like."""
