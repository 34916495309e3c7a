"""The report: one HTML document from the files of runs.

`inputs` reads run folders, `thumbnails` and `retrieval` take frames from the store, `sections`
computes plain data, `charts` lays out charts, and `templates` turns all of it into escaped HTML.
"""
