"""Letters about getting in: links, and word to an account's owner of what changed who can get in."""

import hashlib
from datetime import datetime, timedelta

from licensing.database import Connection
from service.accounts import Account, account_by_email, language_of
from service.areas import LEVEL_MEANINGS, LEVEL_NAMES, Level
from service.formats import clock
from service.languages import gettext, speaking, spoken, translate
from service.letters import Letter, seal_link, write_letter
from service.resources import Gateway
from service.sessions import make_link
from service.who import PLACE


async def send_link(web: Gateway, *, address: str, now: datetime) -> None:
    """A sign-in link to the account of an address; nothing where there is none. Called when the form's answer is on its
    way, so that how long it takes tells nobody which."""
    minutes = web.settings.sign_in_link_minutes
    async with web.house() as conn, conn.transaction():
        account = await account_by_email(conn, address)
        if account is None or account.disabled_at is not None:
            return
        word = await make_link(conn, account_id=account.id, now=now, minutes=minutes, by=PLACE)
        until = now + timedelta(minutes=minutes)
        # Whoever was never here reads what the form was in.
        with speaking(account.language or spoken()):
            words = gettext(
                "It works once, until {until}. Nobody here asks you for it.\n\nIf you did not ask for it, leave it:"
                " without it nobody gets in."
            )
            letter = Letter(
                kind="sign_in.link",
                subject=gettext("Your link to sign in at {operator}").format(operator=web.settings.operator_name),
                words=words.format(until=clock(until)),
                path="/sign-in",
                account_id=account.id,
                key=_key(word),
                link=seal_link(f"/sign-in?link={word}", until=until, pepper=web.pepper),
            )
        await write_letter(conn, letter, now=now)


async def send_sign_up(
    conn: Connection, web: Gateway, *, address: str, word: str, until: datetime, now: datetime
) -> None:
    """The link that makes an account for an address that has none, in the language of the form."""
    letter = Letter(
        kind="account.sign_up",
        subject=gettext("Confirm your address for {operator}").format(operator=web.settings.operator_name),
        words=gettext(
            "Somebody, probably you, wants to make an account with this address. The link makes it; it works for a"
            " day.\n\nIf that was not you, leave it: then there is no account, and the address is forgotten here."
        ),
        path="/sign-up",
        address=address,
        key=_key(word),
        link=seal_link(f"/sign-up/confirm?word={word}", until=until, pepper=web.pepper),
    )
    await write_letter(conn, letter, now=now)


async def send_invitation(
    conn: Connection, web: Gateway, *, address: str, client_name: str, word: str, until: datetime, now: datetime
) -> None:
    """The link into a client's team, in the language of whoever reads that address here, else of the form."""
    account = await account_by_email(conn, address)
    with speaking((account.language if account else None) or spoken()):
        letter = Letter(
            kind="team.invited",
            subject=gettext("{client} asks you into its team").format(client=client_name),
            words=gettext(
                "{client} asks you to act for it at {operator}, with an account of your own. The link says as what; it"
                " works once, until {until}.\n\nIf you do not know {client}, leave it: then nothing happens."
            ).format(client=client_name, operator=web.settings.operator_name, until=clock(until)),
            path="/sign-in",
            address=address,
            key=_key(word),
            link=seal_link(f"/team/join?word={word}", until=until, pepper=web.pepper),
        )
    await write_letter(conn, letter, now=now)


async def tell_of_ended_membership(
    conn: Connection, *, account_id: str, client_name: str, member_id: str, now: datetime
) -> None:
    """To somebody who is in a client's team no more."""
    with speaking(await language_of(conn, account_id)):
        letter = Letter(
            kind="team.ended",
            subject=gettext("You do not act for {client} any more").format(client=client_name),
            words=gettext(
                "{client} ended your membership in its team. Your own account and what is in it stay as they are."
            ).format(client=client_name),
            path="/account",
            account_id=account_id,
            key=member_id,
        )
    await write_letter(conn, letter, now=now)


async def tell_of_leaving(
    conn: Connection, *, account_id: str, member_name: str, member_id: str, now: datetime
) -> None:
    """To a client whose team somebody has left."""
    with speaking(await language_of(conn, account_id)):
        letter = Letter(
            kind="team.left",
            subject=gettext("{name} has left your team").format(name=member_name),
            words=gettext(
                "They act for you no more, in any browser. API keys that they made work on until you revoke them."
            ),
            path="/desk/team",
            account_id=account_id,
            key=f"{member_id} left",
        )
    await write_letter(conn, letter, now=now)


async def tell_of_level(
    conn: Connection, *, account_id: str, client_name: str, member_id: str, level: Level, now: datetime
) -> None:
    """To a member of a client's team who may do something else there from now on."""
    with speaking(await language_of(conn, account_id)):
        letter = Letter(
            kind="team.changed",
            subject=gettext("What you may do for {client} was changed").format(client=client_name),
            words=f"{translate(LEVEL_NAMES[level])}: {translate(LEVEL_MEANINGS[level])}",
            path="/account",
            account_id=account_id,
            key=f"{member_id} {level} {now.isoformat()}",
        )
    await write_letter(conn, letter, now=now)


async def tell_of_sign_up(conn: Connection, account: Account, *, now: datetime) -> None:
    """To the owner of an address that somebody typed to sign up."""
    with speaking(account.language or spoken()):
        letter = Letter(
            kind="account.asked_again",
            subject=gettext("You have an account here already"),
            words=gettext(
                "Somebody, probably you, wanted to make an account with this address, which has one. Nothing was"
                " changed.\n\nTo get in, have a link sent to you, or use your password."
            ),
            path="/sign-in",
            account_id=account.id,
            key=now.isoformat(),
        )
    await write_letter(conn, letter, now=now)


async def tell_of_change(conn: Connection, *, account_id: str, what: str, now: datetime) -> None:
    """To an account's owner: what changed who can get in, in a sentence. In the transaction that changes it."""
    with speaking(await language_of(conn, account_id)):
        said = translate(what)
        not_you = gettext("If that was not you, sign in by a link, end your other sessions and set a new password.")
        letter = Letter(
            kind="account.changed",
            subject=said.rstrip("."),
            words=f"{said}\n\n{not_you}",
            path="/account",
            account_id=account_id,
            key=f"{what} {now.isoformat()}",
        )
    await write_letter(conn, letter, now=now)


def _key(word: str) -> str:
    """Tells the letters of two links from each other, and no link to anybody."""
    return hashlib.sha256(f"letter {word}".encode()).hexdigest()[:16]
