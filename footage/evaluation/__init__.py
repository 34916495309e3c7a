"""Labelled images: how they are read and split, how frozen features are judged, what is found."""
