"""Training batches without torch: sampling of videos and images, augmented views, policies."""
