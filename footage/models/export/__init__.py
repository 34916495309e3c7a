"""Export formats, one file each, and their registry."""
