"""Measures and computes the goals of docs/performance.md: `python -m benchmarks`."""
