"""The operator's bases: which there are, and which may be sold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from inference import base_licences
from inference.base_licences import Sale
from inference.catalog import BaseSpec, base_spec, list_bases
from licensing.database import Connection
from licensing.sentence import known_again, say
from service.errors import Problem
from service.heartbeats import Executor
from service.kept_sentences import OF_BASES
from service.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Shelved:
    """A base as the office shows it: its licence, the styles over it, and the workers that have it open."""

    spec: BaseSpec
    sale: Sale
    styles: Sequence[Mapping[str, str | bool]]
    num_styles: int
    loaded: Sequence[str]
    is_there: bool
    """Its folder is on the machine that shows this."""


def base_here(settings: Settings, base: str) -> BaseSpec:
    """A base as its file here says. Raises BaseUnusable."""
    return base_spec(base, folder=settings.configs / "bases")


@cache
def _sale_of(licence: str, commercial: bool | None) -> Sale:
    sale = base_licences.sale_of(licence, commercial)
    return replace(sale, why=known_again(sale.why, OF_BASES))


def require_for_sale(spec: BaseSpec) -> None:
    """Raises Problem where nothing that is made with a base may be sold."""
    sale = _sale_of(spec.licence, spec.commercial)
    if not sale.is_allowed:
        raise Problem(
            "base_not_for_sale",
            say(
                "Nothing made with the base {base} can be sold here. {why} Train a style over another"
                " base, or ask the operator, who may say otherwise by `commercial = true` in"
                " configs/bases/{base}.toml.",
                base=spec.id,
                why=sale.why,
            ),
        )


async def shelved(
    conn: Connection, settings: Settings, executors: Sequence[Executor], *, styles_shown: int
) -> list[Shelved]:
    """Every base that is configured, by id; `styles_shown` of its styles at most are named."""
    rows = await conn.fetch(
        "SELECT s.id, s.name, s.base, s.published_version_id IS NOT NULL AS is_published, a.name AS creator,"
        " count(*) OVER (PARTITION BY s.base) AS num,"
        " row_number() OVER (PARTITION BY s.base ORDER BY s.published_version_id IS NULL, s.id DESC) AS place"
        " FROM service.styles s JOIN service.accounts a ON a.id = s.creator_id WHERE s.destroyed_at IS NULL"
    )
    shown = []
    for spec in list_bases(folder=settings.configs / "bases"):
        own = [row for row in rows if row["base"] == spec.id]
        shown.append(
            Shelved(
                spec=spec,
                sale=_sale_of(spec.licence, spec.commercial),
                styles=[dict(row) for row in own if row["place"] <= styles_shown],
                num_styles=own[0]["num"] if own else 0,
                loaded=[one.id for one in executors if spec.id in one.machine.get("bases", {})],
                is_there=(spec.path / "model_index.json").is_file(),
            )
        )
    return shown
