"""Layout of SVG charts: curves over steps, and values with intervals."""
