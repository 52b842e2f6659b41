"""Trainings that ended, pictures that wait for their creator, styles that were emptied."""

from datetime import datetime, timedelta

from licensing.database import Connection
from service.accounts import language_of, languages_of
from service.formats import clock, count, numeral
from service.kept_sentences import of_training
from service.languages import Words, gettext, ngettext, speaking, translate
from service.letters import Letter, write_letter, write_letters

WAITING_TOLD_EVERY = timedelta(hours=1)
"""How often a creator is told that pictures of a style wait."""

# Of a training, by how it ended.
_SUBJECTS = Words(
    {
        "passed": "“{name}” has passed its check",
        "refused": "“{name}” has not passed its check",
        "failed": "The training of “{name}” has stopped",
    }
)
_WORDS = Words(
    {
        "passed": "Look at what it draws, and publish it if you like it.",
        "refused": "The check refused the result, so nothing may be published. The report says what to change.",
        "failed": "It did not get to its end.",
    }
)
# Styles whose pictures wait, with how many orders and until when the first of them does. $1: a style, or NULL for all
# that have been told of long enough ago, with something new since.
_WAITING = """
SELECT g.style_id, s.creator_id, s.name, count(*) AS num_orders, min(g.approval_until) AS first_until
FROM service.generations g JOIN service.styles s ON s.id = g.style_id
WHERE g.state = 'awaiting_approval' AND ($1::text IS NULL OR g.style_id = $1)
GROUP BY g.style_id, s.creator_id, s.name
HAVING $1 IS NOT NULL OR max(g.updated_at) > coalesce((SELECT max(l.created_at) FROM service.letters l
    WHERE l.account_id = s.creator_id AND l.kind = 'approvals.waiting' AND l.about = g.style_id), '-infinity')
"""


async def tell_training_ended(
    conn: Connection,
    *,
    training_id: str,
    style_id: str,
    creator_id: str,
    run: int,
    state: str,
    message: str | None,
    now: datetime,
) -> None:
    """Tell a creator that a training passed, was refused or failed; nothing of one that they canceled."""
    if state not in _SUBJECTS:
        return
    name = await conn.fetchval("SELECT name FROM service.styles WHERE id = $1", style_id)
    with speaking(await language_of(conn, creator_id)):
        letter = Letter(
            kind=f"training.{state}",
            account_id=creator_id,
            about=training_id,
            # One that failed may be resumed, and end again.
            key=f"{training_id}.{run}",
            subject=_SUBJECTS[state].format(name=name),
            words="\n\n".join(filter(None, (_WORDS[state], translate(of_training(message)) if message else ""))),
            path=f"/studio/styles/{style_id}/training",
        )
    await write_letter(conn, letter, now=now)


async def tell_waiting(conn: Connection, style_id: str | None, *, now: datetime) -> None:
    """Tell creators that pictures wait for their yes or no: of a style at most once an hour. style_id: the one whose
    pictures wait since this moment; None: all of which something came that nobody was told of (a sweep)."""
    rows = await conn.fetch(_WAITING, style_id)
    languages = await languages_of(conn, [row["creator_id"] for row in rows])
    letters = []
    for row in rows:
        with speaking(languages[row["creator_id"]]):
            words = ngettext(
                "{number} order made with your style waits for your yes or no. The first waits until {until}; what"
                " nobody has looked at by then is dropped, and nobody pays for it.",
                "{number} orders made with your style wait for your yes or no. The first waits until {until}; what"
                " nobody has looked at by then is dropped, and nobody pays for it.",
                row["num_orders"],
            )
            letter = Letter(
                kind="approvals.waiting",
                account_id=row["creator_id"],
                about=row["style_id"],
                subject=gettext("Pictures of “{name}” wait for you").format(name=row["name"]),
                words=words.format(number=numeral(row["num_orders"]), until=clock(row["first_until"])),
                path="/studio/approvals",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now, at_most_every=WAITING_TOLD_EVERY)


async def tell_emptied(conn: Connection, *, style_id: str, creator_id: str, num_files: int, now: datetime) -> None:
    """Tell a creator that everything of a destroyed style is deleted."""
    name = await conn.fetchval("SELECT name FROM service.styles WHERE id = $1", style_id)
    with speaking(await language_of(conn, creator_id)):
        words = gettext(
            "Works and trained files of this style are gone, {files} in all. The style’s page has the signed list of"
            " them.\n\nPictures that were sold stay with their buyers; their certificates stay valid."
        )
        letter = Letter(
            kind="style.destroyed",
            account_id=creator_id,
            about=style_id,
            subject=gettext("“{name}” is deleted").format(name=name),
            words=words.format(files=count(num_files, "file", "files")),
            path=f"/studio/styles/{style_id}",
        )
    await write_letter(conn, letter, now=now)
