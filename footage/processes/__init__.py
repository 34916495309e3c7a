"""Processes: pools that survive the death of a worker, fresh interpreters, and signals."""
