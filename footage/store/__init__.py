"""The frame store: reader, writer, commits, tables and descriptions. Torch is not imported."""
