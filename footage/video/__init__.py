"""Decode video: timestamps, orientation, shots and frames. Nothing here imports torch."""
