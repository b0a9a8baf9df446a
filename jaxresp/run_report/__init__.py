"""What a run has found, as one HTML page beside its report.md.

finished.py   a work folder read back        figures.py   charts
chapters.py   across models: headline, shortcuts, comparison, split, limits, provenance
model.py      the chapter of one model       page.py      the page, written

HTML, colours and type are those of jaxresp/pages.
"""

from jaxresp.run_report.finished import FinishedRun, load_finished, load_results
from jaxresp.run_report.page import html_report, write_html

__all__ = ["FinishedRun", "html_report", "load_finished", "load_results", "write_html"]
