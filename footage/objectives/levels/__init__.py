"""Levels of the objective, one file each: configuration, head and loss."""
