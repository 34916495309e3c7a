"""From a video file to the frames of its shots. Nothing in here imports torch."""
