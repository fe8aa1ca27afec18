"""Suites as asv benchmarks; asv imports every module of this package."""
