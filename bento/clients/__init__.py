"""Asking the service from a program. `jaxresp_client.py` is one file that needs Python alone: copy it."""
