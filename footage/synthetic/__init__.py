"""Clips for trying things: drawn from a seed, or taken out of two public packages."""
