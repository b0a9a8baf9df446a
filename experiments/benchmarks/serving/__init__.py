"""The service under load, beside what else one could have written. Each script's docstring says how to run it.

`compare.py` is the comparison, `hops.py` where the time goes, `latency.py` one quick question after another, `soak.py`
more than can be served.
"""
