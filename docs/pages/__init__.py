"""Modules that generate documentation pages from the code, one per page."""
