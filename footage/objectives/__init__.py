"""The training objective: losses, the levels that use them, positives and mining."""
