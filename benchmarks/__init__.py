"""Measurements, run by hand: `make bench`, `make bench-full`, `make bench-stitch`; see docs/benchmarks.md."""
