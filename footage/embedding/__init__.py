"""Features of images and videos: rows of one batch of sources, and their parts of one table."""
