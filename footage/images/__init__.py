"""Still images: open data sets in many layouts, and decode images safely."""
