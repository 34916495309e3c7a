"""Labelled still images: decoded, found in many layouts, shared out, cut into batches and views."""
