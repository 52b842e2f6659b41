"""The web process: the application under uvicorn."""

import gc
import logging
import socket

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.clock import clock_of
from service.lifeline import end_with_parent
from service.settings import Settings
from service.tracing.sending import tracing

log = logging.getLogger("ownhand.web")

_GRACE_S = 5
_IDLE_S = 150
"""How long a connection is kept that nobody sends anything over. Proxies and clients keep theirs for up to two minutes
(Caddy's default); who closes first while the other sends has cut off a request, and that must never be this side."""


class Server(uvicorn.Server):
    """Says in our words, and once, where it can be reached. Its own log is for those who look for a fault."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: looking for garbage among it would stop all answers for a tenth of a second, again
        # and again.
        gc.collect()
        gc.freeze()
        gc.enable()
        if self.started:
            log.info("Ownhand is served at http://%s:%s; Ctrl-C ends it", self.config.host, self.config.port)


def run_web(settings: Settings, database_url: str) -> None:
    """Serve until SIGTERM or Ctrl-C; running stories are left to the next start."""
    if settings.supervised:
        end_with_parent()
    with tracing(settings.traces_url, process="web"):
        Server(server_config(create_app(settings, database_url, clock=clock_of(settings)), settings)).run()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How the application is served. Requests are not logged: addresses hold sign-in links."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level="debug" if settings.log_level.upper() == "DEBUG" else "warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_IDLE_S,
    )
