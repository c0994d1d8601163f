"""HTML, one file a part of the application. Each handler calls the gallery and renders a template of its own name."""

from fastapi import APIRouter

from forensic.web.pages import (
    account,
    accuracy,
    audit,
    cases,
    compare,
    docs,
    duplicates,
    enrolling,
    expunging,
    gallery,
    jobs,
    people,
    pictures,
    reports,
    searches,
    searching,
    sign_in,
    users,
)

router = APIRouter()
for part in (
    *(sign_in, cases, searching, searches, compare, jobs, pictures, reports, docs),
    *(gallery, duplicates, people, expunging, enrolling, accuracy, audit, users, account),
):
    router.include_router(part.router)
