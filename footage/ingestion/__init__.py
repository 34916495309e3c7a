"""Ingest: find videos, decode each in a worker, check results, report, and repair stores."""
