"""Backups of a gallery: `backups` makes them, `restoring` checks them and makes a gallery of one.

A snapshot (`snapshots`, made of `rows`) lies sealed in a `destination`, and `keyfiles` hold what opens it.
"""
