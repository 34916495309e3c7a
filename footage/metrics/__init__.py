"""Metrics: geometry of representations, confidence intervals and the bootstrap."""
