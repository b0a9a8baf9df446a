"""What there is to see of a prepared corpus, as one HTML page: `jaxresp explore`.

statistics.py         a Corpus counted
without_listening.py  what the metadata gives away by itself
figures.py            charts                 sound_figures.py   one recording as a picture
tables.py             the numbers behind     sections.py        the chapters
report.py             explore, overview, write_report

HTML, colours and type are those of jaxresp/pages.
"""

from jaxresp.explore.report import ExploreConfig, ExploreError, Report, explore, overview, write_report

__all__ = ["ExploreConfig", "ExploreError", "Report", "explore", "overview", "write_report"]
