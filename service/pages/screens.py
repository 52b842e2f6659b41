"""Every page of the service, added to the application."""

from fastapi import FastAPI

from service.pages import (
    account,
    assets,
    desk,
    desk_keys,
    desk_money,
    desk_order,
    desk_webhooks,
    home,
    office,
    office_cases,
    office_money,
    sign_in,
    studio,
    studio_approvals,
    studio_earnings,
    studio_offer,
    studio_record,
    studio_rules,
    studio_switch,
    studio_training,
    studio_works,
    switch,
    terms,
    verify,
)
from service.pages.problems import install_problem_pages

SCREENS = (
    home,
    verify,
    switch,
    terms,
    sign_in,
    studio,
    studio_works,
    studio_training,
    studio_offer,
    studio_switch,
    studio_record,
    studio_rules,
    studio_approvals,
    studio_earnings,
    desk,
    desk_order,
    desk_keys,
    desk_money,
    desk_webhooks,
    office,
    office_cases,
    office_money,
    account,
    assets,
)


def install_pages(app: FastAPI) -> None:
    """Add every page to the application, and problems as pages. Call it after the edge is installed."""
    for screen in SCREENS:
        app.include_router(screen.router)
    install_problem_pages(app)
