"""`sparsewatch exporter`: the metrics of jobs served to Prometheus."""
