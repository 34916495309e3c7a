"""What is needed to release footage: pinned versions and their checks."""
