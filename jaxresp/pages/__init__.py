"""One look for every page that a report is written as: `jaxresp explore`, and the report of a run.

page.py    HTML, with page.css     style.py   colours, type, and a figure's way into the page
canvas.py  what charts are made of album.py   figures drawn once, for the page and as PNGs
"""
