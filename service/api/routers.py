"""Every noun of the JSON API. A new one is its module and a line here."""

from service.api import (
    catalogue,
    earnings,
    generations,
    images,
    licences,
    outputs,
    quotes,
    record,
    styles,
    switch,
    trainings,
    usage,
    verify,
    versions,
    webhooks,
    works,
)

ROUTERS = (
    styles.router,
    works.router,
    trainings.router,
    versions.router,
    switch.router,
    record.router,
    earnings.router,
    catalogue.router,
    quotes.router,
    images.router,
    generations.router,
    outputs.router,
    verify.router,
    usage.router,
    licences.router,
    webhooks.router,
)
