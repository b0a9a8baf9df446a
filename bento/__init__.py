"""The service: six Classifiers behind HTTP, the page at /ui, the numbers at /metrics. See bento/README.md."""
