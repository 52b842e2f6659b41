"""The web process: the application under uvicorn."""

import uvicorn

from service.app import create_app
from service.lifeline import end_with_parent
from service.settings import Settings

_GRACE_S = 5


def run_web(settings: Settings, database_url: str) -> None:
    """Serve until SIGTERM or Ctrl-C; running stories are left to the next start."""
    if settings.supervised:
        end_with_parent()
    uvicorn.run(
        create_app(settings, database_url),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
