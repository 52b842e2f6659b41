"""What brings letters to people's addresses: a loop beside the sweeps of every web process (`service.carrying`), where
a server is set that takes e-mail.

A process claims a letter for as long as a try may take and some, hands it over and notes what came of it. Whoever dies
between the two leaves the claim to run out, and the letter is handed over again under the same Message-ID: nobody can
tell a server's yes that was not noted from one that was never said. Otherwise each goes once.
"""

import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from licensing.database import Connection
from service.beside import beside
from service.carrying import back_off_s, carry
from service.errors import SecretLost
from service.faults import reach
from service.languages import ENGLISH, LANGUAGES, speaking
from service.letter_kinds import TOPICS, Topic
from service.letters import BELLS, open_link
from service.mail import Answer, Mail, hand_over, write_out
from service.resources import Gateway

log = logging.getLogger("ownhand.mailing")

BACK_OFF_S = (5, 30, 120, 300, 900, 3600, 10_800, 21_600)
"""Between two tries, the last again and again until `letters.PATIENCE`: close at first, for a link to sign in waits for
nobody."""
LEASE = timedelta(minutes=3)
"""Of a claim; a try takes a third of it at most."""
AT_ONCE = 4
ATTEMPTS_KEPT = 20

_CLAIM = """
UPDATE service.letters l SET due_at = $2, claimed_by = $3
WHERE l.id = (
    SELECT f.id FROM service.letters f WHERE f.mail = 'waiting' AND f.due_at <= $1 AND f.give_up_at > $1
    ORDER BY f.due_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING l.id, l.account_id, l.topic, l.subject, l.words, l.path, l.link, l.round, l.round_at, l.tries, l.give_up_at,
    coalesce(l.address, (SELECT a.email FROM service.accounts a WHERE a.id = l.account_id)) AS to_address,
    (SELECT a.language FROM service.accounts a WHERE a.id = l.account_id) AS language
"""
# What waited too long; what somebody is about to hand over at this moment is left to them.
_GIVE_UP = """
UPDATE service.letters SET mail = 'failed', mail_ended_at = $1, claimed_by = NULL
WHERE mail = 'waiting' AND give_up_at <= $1 AND (claimed_by IS NULL OR due_at <= $1)
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A letter that this process alone may hand over until its lease is over. `by` is the process's name for it."""

    by: str
    id: str
    account_id: str | None
    topic: Topic
    subject: str
    words: str
    path: str
    link: str | None
    round: int
    round_at: datetime
    tries: int
    give_up_at: datetime
    to_address: str
    language: str | None


@asynccontextmanager
async def mailing(web: Gateway) -> AsyncIterator[None]:
    """Send what people are told until the end of the block; nothing where no server is set."""
    if web.settings.mail_server is None:
        yield
        return
    async with beside(
        carry(BELLS, lambda: take(web, now=web.clock()), lambda claim: _bring(web, claim), at_once=AT_ONCE)
    ):
        yield


async def send_next(web: Gateway, *, now: datetime, context: ssl.SSLContext | None = None) -> bool:
    """Try one letter that is due, if there is one; False where there is none."""
    claim = await take(web, now=now)
    if claim is None:
        return False
    await _bring(web, claim, now=now, context=context)
    return True


async def take(web: Gateway, *, now: datetime) -> Claim | None:
    """Claim the letter that is due longest."""
    by = web.new_id("snd")
    async with web.house() as conn:
        row = await conn.fetchrow(_CLAIM, now, now + LEASE, by)
    return Claim(by=by, **row) if row else None


async def note(conn: Connection, claim: Claim, answer: Answer, *, now: datetime) -> bool:
    """Write down what came of a try. False, and nothing is written, where the claim had run out and another process has
    the letter, or where it was asked for anew meanwhile."""
    next_at = now + timedelta(seconds=back_off_s(BACK_OFF_S, claim.tries, seed=claim.id))
    state = "sent" if answer.error is None else "waiting"
    if answer.error is not None and (answer.is_final or next_at >= claim.give_up_at):
        state = "failed"
    attempt = {"at": now.isoformat(), "code": answer.code, "error": answer.error, "ms": answer.ms}
    status = await conn.execute(
        "UPDATE service.letters SET mail = $3, tries = tries + 1, due_at = $4, claimed_by = NULL,"
        " attempts = (SELECT jsonb_agg(one ORDER BY number) FROM jsonb_array_elements(attempts || $5::jsonb)"
        "  WITH ORDINALITY AS listed (one, number) WHERE number > jsonb_array_length(attempts) + 1 - $6),"
        " link = CASE WHEN $3 = 'sent' THEN NULL ELSE link END,"
        " mail_ended_at = CASE WHEN $3 <> 'waiting' THEN $7::timestamptz END"
        " WHERE id = $1 AND claimed_by = $2",
        *(claim.id, claim.by, state, next_at, json.dumps([attempt]), ATTEMPTS_KEPT, now),
    )
    return bool(status == "UPDATE 1")


async def tidy_letters(web: Gateway) -> None:
    """Give up what was tried, or waited for a server, long enough, and forget links that ran out. A sweep."""
    now = web.clock()
    async with web.house() as conn:
        await conn.execute(_GIVE_UP, now)
        await conn.execute("UPDATE service.letters SET link = NULL WHERE link_until <= $1", now)


async def send_again(conn: Connection, letter_id: str, *, now: datetime, patience: timedelta) -> bool:
    """Send a letter again at once, whatever became of it, under a new Message-ID: one who lost the first gets another.

    False where there is none, or where its link is gone, without which it would say nothing.
    """
    status = await conn.execute(
        "UPDATE service.letters SET mail = 'waiting', round = round + 1, round_at = $2, tries = 0, due_at = $2,"
        " give_up_at = least($2::timestamptz + $3::interval, link_until), claimed_by = NULL, mail_ended_at = NULL"
        " WHERE id = $1 AND (link_until IS NULL OR link IS NOT NULL AND link_until > $2)",
        *(letter_id, now, patience),
    )
    BELLS.ring()
    return bool(status == "UPDATE 1")


def stop_path(account_id: str, topic: str, *, pepper: bytes) -> str:
    """Where somebody turns off e-mail of a topic without signing in, as the header List-Unsubscribe has it."""
    return f"/letters/off/{account_id}/{topic}/{_stop_word(account_id, topic, pepper=pepper)}"


def may_stop(account_id: str, topic: str, word: str, *, pepper: bytes) -> bool:
    """True where a path of `stop_path` is one of ours."""
    return hmac.compare_digest(_stop_word(account_id, topic, pepper=pepper).encode(), word.encode())


def _stop_word(account_id: str, topic: str, *, pepper: bytes) -> str:
    text = f"no e-mail of {topic} to {account_id}"
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()[:40]


async def _bring(
    web: Gateway, claim: Claim, *, now: datetime | None = None, context: ssl.SSLContext | None = None
) -> None:
    answer = await _try(web, claim, context=context)
    reach("letter_sent", web.settings.crash_at)
    async with web.house() as conn:
        if not await note(conn, claim, answer, now=now or web.clock()):
            log.warning("what came of letter %s could not be noted any more", claim.id)
    if answer.error is not None:
        # Servers repeat addresses in what they say; that stands in the letter's row, for the office.
        log.warning("letter %s was not taken: %s", claim.id, answer.code or "no answer")


async def _try(web: Gateway, claim: Claim, *, context: ssl.SSLContext | None) -> Answer:
    server, sender = web.settings.mail_server, web.settings.mail_sender
    assert server is not None, "nothing is taken where there is no server"
    assert sender is not None, "a server is not set without a sender"
    try:
        with speaking(claim.language if claim.language and claim.language in LANGUAGES else ENGLISH):
            message = write_out(_mail(web, claim), sender)
    except SecretLost as error:
        return Answer(code=None, error=str(error), ms=0, is_final=True)
    except ValueError as error:
        return Answer(code=None, error=f"No e-mail can go to {claim.to_address!r}: {error}.", ms=0, is_final=True)
    return await hand_over(
        server, message, sender=sender.addr_spec, to=message["To"].addresses[0].addr_spec, context=context
    )


def _mail(web: Gateway, claim: Claim) -> Mail:
    """Raises SecretLost."""
    home, may_be_off = web.settings.origin, TOPICS[claim.topic].may_be_off
    path = open_link(claim.link, pepper=web.pepper) if claim.link else claim.path
    return Mail(
        # A letter that a person asked for again is another message: one with the same name would be thrown away.
        id=f"{claim.id}.{claim.round}" if claim.round else claim.id,
        to=claim.to_address,
        subject=claim.subject,
        words=claim.words,
        url=home + path,
        stop_url=home + stop_path(claim.account_id, claim.topic, pepper=web.pepper)
        if may_be_off and claim.account_id
        else "",
        place=web.settings.operator_name,
        home=home,
        at=claim.round_at,
    )
