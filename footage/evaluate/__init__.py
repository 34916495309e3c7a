"""Judge a backbone on labelled images: data (`labelled`), adaptation (`adapt`), and the verb."""
