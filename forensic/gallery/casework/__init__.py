"""Cases, their sketches, searches and decisions: `cases`, with its tables in `casework_models`.

`examinations` are second ones that are due, `listing` gives a page at a time, `disclosing` what leaves with exports and
reports, `held_in_log` what the log has hashes of.
"""
