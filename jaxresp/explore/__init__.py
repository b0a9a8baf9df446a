"""What there is to see of a prepared corpus, as one HTML page: `jaxresp explore`.

statistics.py         a Corpus counted
without_listening.py  what the metadata gives away by itself
style.py              colours, type, and a figure's way into the page
figures.py            charts                 sound_figures.py   one recording as a picture
sections.py           the chapters           page.py            HTML            report.css
report.py             explore, overview, write_report
"""

from jaxresp.explore.report import ExploreConfig, ExploreError, Report, explore, overview, write_report

__all__ = ["ExploreConfig", "ExploreError", "Report", "explore", "overview", "write_report"]
