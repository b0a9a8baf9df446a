"""Prometheus, its alerts, and Grafana. docs/monitoring.md is the way through them."""
