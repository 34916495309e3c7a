"""Sample videos and images: rendered from a seed, or extracted from two public packages."""
