"""JSON under ``/api/v1``, one file a part; everything that the pages do.

`models` says how things look, `paging` how lists are cut, `forensic.web.routing` what happens before a handler.
"""

from fastapi import APIRouter

from forensic.web.api import (
    audit,
    cases,
    comparisons,
    curation,
    decisions,
    enrollments,
    explanations,
    expunging,
    gallery,
    health,
    jobs,
    people,
    pictures,
    records,
    reports,
    searches,
    sketches,
    tokens,
    users,
)

router = APIRouter()
for part in (
    *(tokens, cases, sketches, searches, comparisons, pictures, explanations, decisions, records, reports, jobs),
    *(people, curation, expunging, enrollments, gallery, audit, users, health),
):
    router.include_router(part.router)
