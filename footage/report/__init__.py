"""The verb `footage report`: runs as one self-contained page.

`gathered` reads the run folders, `contact_sheet` and `retrieval` take frames from the store,
`charts` draws, `page` lays out, `markup` escapes.
"""

from footage.report.verb import ReportConfig, report

__all__ = ["ReportConfig", "report"]
