"""forensic."""
