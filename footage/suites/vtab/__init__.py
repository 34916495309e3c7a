"""VTAB-1k as data: its nineteen tasks, their labels, and three doors through which they come in."""
