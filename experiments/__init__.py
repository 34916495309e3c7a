"""Experiments that are not recipes: their videos, and measurements of those."""
