"""The export of a case: one signed ZIP file that can be checked without the gallery, now or in ten years.

`writing.export` makes it, `verifying.verify` checks it; `layout` says what is in it.
"""
