"""The report's page, from the files of runs to one HTML document.

`gathered` reads the run folders, `frames` and `retrieval` take frames from the store, `learning`
and `judged` choose what is shown, `charts` and `pictures` draw it, `document` lays it out, `markup`
escapes.
"""
