"""A real mail server, the process: `python -m tests.service.letters.smtp_server '{"port": 2525, ...}'`.

It says on its standard output, a line of JSON each, what comes to it, and reads on its standard input how to answer
from then on: `{"rcpt": "550 no", "data": "451 later", "holds": true}`; `holds` keeps whoever has handed over a message
waiting for the answer. It ends with its standard input.
"""

import asyncio
import json
import ssl
import sys
import threading
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Box:
    """What answers, and says what came."""

    def __init__(self) -> None:
        self.how: dict[str, Any] = {}
        self.let_go = asyncio.Event()

    def say(self, event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), flush=True)

    def answer(self, how: dict[str, Any]) -> None:
        self.how = how
        if not how.get("holds"):
            self.let_go.set()
        self.say("will")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if self.how.get("rcpt"):
            self.say("refused", to=address)
            return str(self.how["rcpt"])
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        came = {
            "sender": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode("latin-1"),
            "is_private": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data,
        }
        if self.how.get("holds"):
            self.let_go.clear()
            self.say("held", **came)
            await self.let_go.wait()
        if self.how.get("data"):
            self.say("refused", to=envelope.rcpt_tos[0])
            return str(self.how["data"])
        self.say("came", **came)
        return "250 OK"


async def serve(wanted: dict[str, Any]) -> None:
    loop, box = asyncio.get_running_loop(), Box()
    context = None
    if wanted.get("certificate"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(wanted["certificate"], wanted["key"])
    is_at_once = wanted.get("tls") == "at_once"

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        is_right = [data.login.decode(), data.password.decode()] == wanted["login"]
        return AuthResult(success=is_right, auth_data=data.login.decode(), handled=False)

    def protocol() -> SMTP:
        return SMTP(
            box,
            hostname="mail.test",
            tls_context=context if wanted.get("tls") == "offered" else None,
            authenticator=authenticate if wanted.get("login") else None,
            auth_required=bool(wanted.get("login")),
            auth_require_tls=not is_at_once and context is not None,
            enable_SMTPUTF8=wanted.get("utf8", False),
            loop=loop,
        )

    server = await loop.create_server(
        protocol, "127.0.0.1", wanted["port"], ssl=context if is_at_once else None, reuse_address=True
    )
    ended = asyncio.Event()

    def hear() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(box.answer, json.loads(line))
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=hear, daemon=True).start()
    box.say("ready")
    async with server:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
