"""The invariance profile: levels in videos, single factors, robustness over time."""
