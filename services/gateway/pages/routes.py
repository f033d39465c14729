"""All routes of the pages, in the order in which they are tried."""

from fastapi import APIRouter

from services.gateway.pages import (
    assets,
    routes_actions,
    routes_films,
    routes_new_film,
    routes_operations,
    routes_reference,
    routes_sign_in,
)

router = APIRouter()
for _module in (
    assets,
    routes_sign_in,
    routes_new_film,
    routes_films,
    routes_actions,
    routes_operations,
    routes_reference,
):
    router.include_router(_module.router)
