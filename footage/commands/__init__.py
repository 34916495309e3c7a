"""The verbs of footage, one file each. They never import each other: they meet through files."""
