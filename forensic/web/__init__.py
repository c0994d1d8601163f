"""The web application and its REST API: what the command line does, for people with a browser and for programs.

`app.create` makes it, ``forensic serve`` runs it. One process serves one gallery.

- who may: `access` (what every route declares), `sessions` (sign-in, API tokens), `throttling`
- before a handler of the API: `routing` (who asks, before the body is read; a repeated write is done once)
- what comes in: `headers` (hosts, bounds), `uploads`, `decoding` (pictures are decoded in a process that may die, which
  runs `decoding_process`)
- long work: `asking` (checked before it waits), `jobs` (the queue, which outlasts a restart; `tasks` are its words),
  `work` (what each kind of job does), `engine` (the models)
- what the server remembers of its own: `state` (a small database beside the gallery's)
- the process: `process` (where it listens, how it ends), `protocol` (slow clients), `housekeeping` (what goes in time)
- what is shown, alike on pages and in the API: `views`, `pictures`, `reporting` (of cases and searches), `files`
- what goes out: `problems` (errors), `headers`, `templating`, `reference` (the API's, for people), `logs`
- the routes: `pages` (HTML), `api` (JSON)
"""
