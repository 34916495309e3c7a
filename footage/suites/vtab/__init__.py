"""VTAB-1k data: its nineteen tasks, their labels, and three ways to import them."""
