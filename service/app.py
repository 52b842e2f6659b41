"""The web process, wired: the JSON API, the pages, and what every answer has in common."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service import __version__
from service.api import health, public_documents
from service.api.document import Documented
from service.api.routers import ROUTERS
from service.auth import Limited
from service.clock import Clock, utc_now
from service.edge import API, install_edge
from service.limits import Buckets
from service.mailing import mailing
from service.pages.screens import install_pages
from service.resources import open_gateway
from service.sending import sending
from service.settings import Settings
from service.sweep import sweeping
from service.workflows import Role, launch

TITLE = "Ownhand"


def create_app(settings: Settings, database_url: str, *, clock: Clock = utc_now, role: Role = "web") -> FastAPI:
    """The application over a migrated database. `role` says which queues of the workflow engine it consumes."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_gateway(settings, database_url, clock=clock) as gateway,
            launch(gateway, role),
            sweeping(gateway),
            sending(gateway),
            mailing(gateway),
        ):
            app.state.gateway = gateway
            yield

    app = Documented(
        title=TITLE,
        version=__version__,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.buckets = Buckets(settings.requests_per_minute)
    app.state.checks = Buckets(settings.checks_per_minute)
    app.state.searches = Buckets(settings.searches_per_minute)
    app.state.forms = Buckets(settings.forms_per_minute)
    app.state.exports = set[str]()
    app.state.sign_ins = Buckets(settings.sign_ins_per_minute)
    install_edge(app, settings)
    app.include_router(health.router)
    app.include_router(public_documents.well_known)
    for router in ROUTERS:
        app.include_router(router, prefix=API, dependencies=[Limited])
    install_pages(app)
    return app
