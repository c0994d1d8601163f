"""What leaves the gallery of a case: reports for people, and an export that can be checked in ten years.

- reports of a case or a search: `reporting` makes them; `wording` says what is in them, with `method` (how it was
  searched, what that is worth, what it does not show), `probes` (pictures) and `shown` (the form of it all); `page`
  and `pdf` draw it
- the export, one signed ZIP file with such reports in it: `writing.export` makes it, `verifying.verify` checks it
  without the gallery; `layout` says what is in it, `content` is its plain data, `archive` the kind of ZIP file
"""
