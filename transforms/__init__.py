"""Thin Beam transforms around the detectors, and the Kafka source and sinks."""
