"""Reproducible benchmarks: what the gateway costs beside a floor that has no features."""
