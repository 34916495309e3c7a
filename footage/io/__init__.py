"""Files: atomic writes and locks, JSON documents, tensors, folder walks, and retried reads."""
