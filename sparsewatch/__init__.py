"""Streaming data-quality and novelty monitoring of sparse data: clicks, wafers, rows.

The four packages `schemas <- detectors <- transforms <- pipelines` stand at the top of the repository; installed they
are parts of this one.
"""
