"""Benchmarks: what qlop costs, as figures and ratios of one run."""
