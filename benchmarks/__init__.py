"""Benchmarks: figures are medians and ratios of one run. ``python -m benchmarks`` runs all and prints the tables."""
