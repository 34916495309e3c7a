"""Backbones, heads, weights, and loading of models by name or path."""
