"""Protocols: recognition measured on pairs of photos and sketches, and the reports that come of it."""
