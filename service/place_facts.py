"""What this place is, as its operator set it up: read only, with where each thing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from licensing.papers.wording import percent
from service.formats import money
from service.languages import Words, gettext, ngettext
from service.resources import Gateway
from service.settings import Settings

_COMERS = Words(
    {
        "invitation": "whoever you invite",
        "clients": "clients by themselves, creators whom you invite",
        "everyone": "creators and clients by themselves",
    }
)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing, what it is, and the sentence that says how to change it. `needs` says what is missing, if something
    is."""

    name: str
    value: str
    how: str
    needs: str = ""


def facts(web: Gateway) -> Sequence[Fact]:
    """Everything that an operator decides before the first sale."""
    settings, prices, seller = web.settings, web.prices, web.taxes.seller
    return (
        Fact(name=gettext("Name"), value=settings.operator_name, how=_set("OPERATOR_NAME")),
        Fact(name=gettext("Address"), value=settings.origin, how=_set("PUBLIC_URL")),
        Fact(
            name=gettext("Seller on invoices"),
            value=seller.party.name if seller else gettext("nobody"),
            how=gettext("Fill in configs/seller.toml, then start the service again."),
            needs="" if seller else gettext("Without a seller no invoice is issued; charges wait until there is one."),
        ),
        Fact(
            name=gettext("Currency"),
            value=prices.currency,
            how=gettext(
                "Set currency in configs/prices.toml before the first sale; a ledger keeps the one it began with."
            ),
        ),
        Fact(
            name=gettext("Your fee"),
            value=gettext("{percent} % of every price").format(percent=percent(prices.fee_bps)),
            how=gettext(
                "Set operator_fee_bps in configs/prices.toml, then start the service again. Everybody sees it on the"
                " page of fees."
            ),
        ),
        Fact(
            name=gettext("Creators’ monthly fee"),
            value=money(prices.dues) if prices.dues.amount else gettext("none"),
            how=gettext("Set month under [dues] in configs/prices.toml, then start the service again."),
        ),
        Fact(name=gettext("Payments"), value=web.provider.name, how=_set("PAYMENTS")),
        Fact(name=gettext("Storage"), value=storage_words(settings), how=_set("STORAGE_URL")),
        Fact(name=gettext("Database"), value=database_words(settings), how=_set("DATABASE_URL")),
        *_keys_and_people(web),
    )


def _keys_and_people(web: Gateway) -> Sequence[Fact]:
    """What proves things here, and who comes in how."""
    settings = web.settings
    return (
        Fact(
            name=gettext("Signing keys"),
            value=str(settings.home / "authority"),
            how=gettext(
                "Made at the first start. Keep a copy elsewhere, and root.key only there: a rotation alone needs it."
            ),
        ),
        Fact(
            name=gettext("Who may come"),
            value=_COMERS[settings.sign_up],
            how=gettext("Invite people on the first page of the office, or by: ownhand invite.")
            + " "
            + _set("SIGN_UP"),
        ),
        Fact(
            name=gettext("E-mail"),
            value=gettext("sent through {server}").format(server=urlsplit(settings.smtp_url).hostname)
            if settings.smtp_url
            else gettext("not sent"),
            how=_set("SMTP_URL"),
            needs=""
            if settings.smtp_url
            else gettext("Without it you pass letters and links on, from the page of letters."),
        ),
        Fact(
            name=gettext("Passwords"),
            value=gettext("none is set by default"),
            how=ngettext(
                "Every account begins with a link that works once, for {minutes} minute.",
                "Every account begins with a link that works once, for {minutes} minutes.",
                settings.sign_in_link_minutes,
            ).format(minutes=settings.sign_in_link_minutes),
        ),
        Fact(
            name=gettext("Invisible watermark"),
            value=web.watermark.name if web.watermark else gettext("none"),
            how=_set("WATERMARK"),
        ),
    )


def storage_words(settings: Settings) -> str:
    """Where pictures and models lie, with nothing secret in it."""
    if not settings.storage_url:
        return gettext("the folder {where}").format(where=settings.home / "objects")
    parts = urlsplit(settings.storage_url)
    where = f"{parts.hostname or ''}{parts.path}"
    said = gettext("the bucket {where}") if parts.scheme == "s3" else gettext("the folder {where}")
    return said.format(where=where)


def database_words(settings: Settings) -> str:
    """Which database, with no user and no password."""
    url = unquote(settings.database_url or "")
    # `ownhand serve` hands its children the address of the one that it embeds.
    if not url or str(settings.home / "postgres") in url:
        return gettext("embedded, under {where}").format(where=settings.home)
    parts = urlsplit(url)
    host = parts.hostname or gettext("this machine")
    return gettext("PostgreSQL at {host}, database {name}").format(host=host, name=parts.path.lstrip("/"))


def _set(name: str) -> str:
    return gettext("Set {name} where the service starts, then start the service again.").format(name=f"OWNHAND_{name}")
