"""Submanifold sparse-convolution network over the defects of a wafer, at their native resolution."""
