"""One e-mail: written out, and one try to hand it over to the server."""

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as CRLF

import aiosmtplib

from service.languages import gettext
from service.letters import one_line
from service.mail_server import MailServer

TIMEOUT_S = 60.0
"""For all of it. A server that takes longer to say yes may have taken the message, and then gets it twice."""
_GOODBYE_S = 2.0
_REASON_CHARACTERS_MAX = 200
_PERMANENT = 500


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a try. `error` is a sentence for the operator, None where the server took the message; `code` is the
    server's, None where it gave none. `is_final`: trying again would change nothing."""

    code: int | None
    error: str | None
    ms: int
    is_final: bool = False


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What is in an e-mail. `id` makes its Message-ID, the same at every try, so that a receiver knows a second one
    again. `url` is where its reader goes on; `stop_url` where the likes of it are turned off, empty where they cannot
    be."""

    id: str
    to: str
    subject: str
    words: str
    url: str
    stop_url: str
    place: str
    home: str
    at: datetime


def write_out(mail: Mail, sender: Address) -> EmailMessage:
    """The message as it is sent. Nobody's name stands in a header but the sender's own: whoever chooses a name would
    write there to whomever they like. Raises ValueError for an address that no e-mail can go to."""
    message = EmailMessage(policy=CRLF)
    message["From"] = sender
    message["To"] = _address(mail.to)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = mail.at
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    # So that no holiday note answers.
    message["Auto-Submitted"] = "auto-generated"
    if mail.stop_url:
        message["List-Unsubscribe"] = f"<{mail.stop_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    stop = gettext("To get no e-mail of this kind: {url}").format(url=mail.stop_url) + "\n" if mail.stop_url else ""
    text = f"{mail.words}\n\n{mail.url}\n\n-- \n{one_line(mail.place)}\n{mail.home}\n{stop}"
    message.set_content(text, cte="quoted-printable")
    return message


async def hand_over(
    server: MailServer,
    message: EmailMessage,
    *,
    sender: str,
    to: str,
    context: ssl.SSLContext | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Try once. Whatever comes of it is an answer. context: whose certificates are trusted; as usual where there is
    none."""
    began = time.monotonic()

    def answer(code: int | None, error: str | None, *, is_final: bool = False) -> Answer:
        return Answer(code=code, error=error, ms=round((time.monotonic() - began) * 1000), is_final=is_final)

    try:
        async with asyncio.timeout(timeout_s):
            await _say(server, message, sender=sender, to=to, context=context)
    except TimeoutError:
        return answer(None, f"The server did not take it within {timeout_s:.0f} s.")
    except aiosmtplib.SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        return answer(refused.code, _words(refused.code, refused.message), is_final=refused.code >= _PERMANENT)
    except aiosmtplib.SMTPResponseException as error:
        # What is wrong with our password or our own address is for the operator to mend; then it goes.
        is_ours = isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPSenderRefused)
        is_final = isinstance(error, aiosmtplib.SMTPDataError) and error.code >= _PERMANENT and not is_ours
        return answer(error.code, _words(error.code, error.message), is_final=is_final)
    except aiosmtplib.SMTPNotSupported as error:
        return answer(None, f"The server cannot carry it: {_cut(error.message)}.", is_final=True)
    except (aiosmtplib.SMTPException, OSError) as error:
        return answer(None, f"The server could not be reached: {_cut(str(error) or type(error).__name__)}.")
    return answer(250, None)


async def _say(
    server: MailServer, message: EmailMessage, *, sender: str, to: str, context: ssl.SSLContext | None
) -> None:
    trusted = context or ssl.create_default_context()
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls == "at_once",
        start_tls=False,
        tls_context=trusted,
        # As the address that it comes from, and not what this machine calls itself.
        local_hostname=sender.rpartition("@")[2],
    )
    try:
        await client.connect()
        is_private = server.tls == "at_once"
        if not is_private:
            await client.ehlo()
            if client.supports_extension("starttls"):
                await client.starttls(tls_context=trusted)
                is_private = True
            elif server.tls == "required":
                raise aiosmtplib.SMTPException("it offers no STARTTLS, and OWNHAND_SMTP_URL says tls=required")
        if server.user:
            if not (is_private or server.is_here):
                raise aiosmtplib.SMTPException("it offers no STARTTLS, and a password is not sent without")
            await client.login(server.user, server.password)
        await client.sendmail(sender, [to], message.as_bytes(), mail_options=_options(to))
        # Taken. Whatever becomes of the goodbye.
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await client.quit()
    finally:
        client.close()


def _address(plain: str) -> Address:
    """An address without a name. Its host is written in ASCII."""
    local, _, host = plain.rpartition("@")
    return Address(username=local, domain=host.encode("idna").decode() if not host.isascii() else host)


def _options(to: str) -> list[str]:
    return [] if to.isascii() else ["SMTPUTF8"]


def _words(code: int, said: str) -> str:
    return f"The server answered {code}: {_cut(said)}."


def _cut(said: str) -> str:
    return one_line(said)[:_REASON_CHARACTERS_MAX].rstrip(".")
