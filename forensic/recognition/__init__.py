"""Describe faces, search templates, judge the answers."""
