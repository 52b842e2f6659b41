"""Every page of the service, added to the application."""

from fastapi import FastAPI

from service.pages import (
    account,
    assets,
    claims,
    desk,
    desk_keys,
    desk_money,
    desk_order,
    desk_payments,
    desk_spend,
    desk_webhooks,
    disputes,
    home,
    office,
    office_cases,
    office_dues,
    office_money,
    office_payments,
    office_payouts,
    office_statements,
    sign_in,
    studio,
    studio_approvals,
    studio_authors,
    studio_days,
    studio_earnings,
    studio_offer,
    studio_payouts,
    studio_rates,
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
    studio_authors,
    studio_days,
    studio_earnings,
    studio_payouts,
    studio_rates,
    desk,
    desk_order,
    desk_keys,
    desk_money,
    desk_payments,
    desk_spend,
    desk_webhooks,
    disputes,
    claims,
    office,
    office_cases,
    office_dues,
    office_money,
    office_payments,
    office_payouts,
    office_statements,
    account,
    assets,
)


def install_pages(app: FastAPI) -> None:
    """Add every page to the application, and problems as pages. Call it after the edge is installed."""
    for screen in SCREENS:
        app.include_router(screen.router)
    install_problem_pages(app)
