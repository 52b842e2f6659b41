"""Where e-mail is handed over, as one URL says it: `smtp://user:password@mail.example.org:587?tls=required`."""

import ipaddress
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Tls = Literal["at_once", "required", "offered"]
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """`tls`: `at_once`, from the first byte; `required`, by STARTTLS; `offered`, by STARTTLS where the server has it.

    One whose handshake fails is not spoken to in clear. A password goes over TLS alone, but to this machine itself.
    """

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_here(self) -> bool:
        """True for this machine itself."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_server(url: str) -> MailServer:
    """The server that a URL names. Raises ValueError; the password is in no message."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"the scheme {parts.scheme!r} is none of smtp and smtps")
    if not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("write it like smtp://user:password@mail.example.org:587")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    asked = options.pop("tls", "offered")
    if options or asked not in ("required", "offered"):
        raise ValueError("after the question mark there may be tls=required or tls=offered, and nothing else")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    server = MailServer(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        tls="at_once" if parts.scheme == "smtps" else "required" if asked == "required" else "offered",
        user=user,
        password=password,
    )
    if bool(user) is not bool(password):
        raise ValueError("a user needs a password, and a password a user")
    return server


def read_sender(text: str) -> Address:
    """From whom e-mail comes: `Ownhand <office@example.org>`, or the address alone. Raises ValueError."""
    name, plain = parseaddr(text)
    try:
        sender = Address(display_name=name, addr_spec=plain)
    except (HeaderParseError, ValueError, IndexError) as error:
        raise ValueError(f"{text!r} is no address; write it like Ownhand <office@example.org>") from error
    if not sender.username or not sender.domain or not text.isprintable():
        raise ValueError(f"{text!r} is no address; write it like Ownhand <office@example.org>")
    return sender
