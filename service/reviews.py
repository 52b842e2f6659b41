"""The review of a portfolio: what the trainer's look at the works finds, and whose rights are not clear.

Looking takes a while, so a style keeps its last look; it is made again when the included files change.
"""

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inference.catalog import base_spec
from licensing.database import Connection
from service.resources import Gateway
from service.styles import Style
from service.works import StoredWork, list_works
from training.messages import Finding, Work
from training.recipe import Recipe
from training.works import review_works


async def review(web: Gateway, conn: Connection, style: Style, recipe: Recipe) -> list[Finding]:
    """Findings per work and for the set, the ones on rights first."""
    works = await list_works(conn, style_id=style.id, creator_id=style.creator_id)
    included = [work for work in works if work.include]
    looked = await _look(web, conn, style, recipe, included)
    return [*_on_rights(included, recipe), *looked]


async def _look(web: Gateway, conn: Connection, style: Style, recipe: Recipe, works: list[StoredWork]) -> list[Finding]:
    size = base_spec(style.base, folder=web.settings.configs / "bases").size
    state = json.dumps([size, recipe.min_works, [[work.id, work.sha256, work.filename] for work in works]])
    digest = hashlib.sha256(state.encode()).hexdigest()
    kept = await conn.fetchval("SELECT review FROM service.styles WHERE id = $1", style.id)
    found: dict[str, Any] = json.loads(kept)
    if found.get("of") != digest:
        made = await asyncio.to_thread(_make, web, works, size, recipe.min_works)
        found = {"of": digest, "findings": [asdict(finding) for finding in made]}
        await conn.execute("UPDATE service.styles SET review = $2 WHERE id = $1", style.id, json.dumps(found))
    return [Finding(**finding) for finding in found["findings"]]


def _make(web: Gateway, works: list[StoredWork], size: int, min_works: int) -> list[Finding]:
    with TemporaryDirectory(prefix="ownhand-review-") as folder:
        laid = []
        for work in works:
            path = Path(folder) / work.id
            path.write_bytes(web.storage.get(work.storage_key))
            laid.append(Work(id=work.id, path=path, captions=work.captions))
        made = review_works(laid, size=size, min_works=min_works)
    names = {repr(work.id): repr(work.filename) for work in works}
    return [_with_names(finding, names) for finding in made.findings]


def _with_names(finding: Finding, names: dict[str, str]) -> Finding:
    why = finding.why
    for work_id, filename in names.items():
        why = why.replace(work_id, filename)
    return Finding(work=finding.work, kind=finding.kind, severity=finding.severity, why=why, fix=finding.fix)


def _on_rights(works: list[StoredWork], recipe: Recipe) -> list[Finding]:
    unsure = [work for work in works if work.rights == "unsure"]
    findings = [
        Finding(
            work=work.id,
            kind="rights",
            severity="error",
            why="Whose work this is was not said, so it does not train.",
            fix="Say that it is yours, that the client consented, or that you have a licence; or exclude it.",
        )
        for work in unsure
    ]
    clear = len(works) - len(unsure)
    if unsure and clear < recipe.min_works:
        why = f"The rights to {clear} works are clear, and {recipe.min_works} are needed to learn a style."
        findings.insert(
            0,
            Finding(
                work=None, kind="rights", severity="error", why=why, fix="Set the rights of the works named below."
            ),
        )
    return findings
