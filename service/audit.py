"""The record of an account: what was done with what is theirs, by whom, in plain words.

Nothing is written twice: a switch, terms, keys, cases, trainings and opened files have rows that tell it, and one query
reads them all by time. Only what leaves no row of its own, or one that is deleted some day, is written to
`service.audit`, in the transaction that does it; a trigger keeps that table from being changed. No file names and no
words of people's are kept there, for nobody could delete them again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from licensing.database import Connection
from licensing.sentence import Sentence, say, templates
from service.db.conditions import named
from service.db.connections import read
from service.who import Who, WhoRole

Noted = Literal[
    "link_made",
    "link_shown",
    "signed_in",
    "signed_out",
    "password_set",
    "second_factor_on",
    "second_factor_off",
    "recovery_codes_made",
    "recovery_code_used",
    "key_cap_changed",
    "sale_refunded",
    "erasure_asked",
    "account_erased",
    "key_first_used",
    "works_added",
    "rights_changed",
    "start_offered",
    "start_taken_back",
    "training_resumed",
    "version_published",
    "version_unpublished",
    "version_restored",
    "terms_accepted",
    "payee_changed",
    "dues_consent_changed",
    "dues_paid",
    "dues_waived",
    "bank_statement_read",
    "bank_statement_booked",
    "bank_statement_dropped",
    "refund_sent",
    "refund_returned",
    "payee_connecting",
    "member_invited",
    "member_uninvited",
    "member_joined",
    "member_changed",
    "member_ended",
    "member_left",
    "key_made_by_member",
    "key_revoked_by_member",
]
"""What is written here."""
Kind = Literal[
    Noted,
    "account_made",
    "key_made",
    "key_revoked",
    "style_made",
    "style_emptied",
    "terms_changed",
    "rules_changed",
    "switch_changed",
    "pictures_released",
    "pictures_kept_back",
    "training_started",
    "training_ended",
    "case_opened",
    "case_answered",
    "case_decided",
    "withheld_appealed",
    "claim_opened",
    "claim_said",
    "claim_decided",
    "claim_appealed",
    "claim_withdrawn",
    "claim_closed",
    "consent_asked",
    "consent_given",
    "consent_refused",
    "consent_withdrawn",
    "consent_revoked",
    "work_removed",
    "work_seen",
    "others_work_seen",
    "file_refused",
]
"""Everything that the record tells."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Of each: when, a word that tells it from others of that moment, kind, style, subject, the role of who did it (NULL
# where the row does not say), by which key or session, and what the sentence needs. $1 is the account.
_SOURCES = """
SELECT at, id AS ref, kind, style_id, subject, role, via, data FROM service.audit WHERE account_id = $1
UNION ALL
SELECT created_at, id, 'account_made', NULL, id, 'operator', '', '{}' FROM service.accounts WHERE id = $1
UNION ALL
SELECT created_at, key_id || '.made', 'key_made', NULL, key_id, NULL, '', jsonb_build_object('hint', hint)
FROM licensing.api_key WHERE account_id = $1
UNION ALL
SELECT revoked_at, key_id || '.revoked', 'key_revoked', NULL, key_id, NULL, '', jsonb_build_object('hint', hint)
FROM licensing.api_key WHERE account_id = $1 AND revoked_at IS NOT NULL
UNION ALL
SELECT created_at, id, 'style_made', id, id, 'creator', '', '{}' FROM service.styles WHERE creator_id = $1
UNION ALL
SELECT started_at, id, 'works_added', style_id, '', 'creator', via, jsonb_build_object('works', num_new)
FROM service.uploads WHERE creator_id = $1 AND num_new > 0
UNION ALL
SELECT one.at, k.id || '.' || one.kind, 'consent_' || one.kind, k.style_id, k.id, one.role, '',
    jsonb_build_object('works', (SELECT count(*) FROM service.consent_works c WHERE c.consent_id = k.id))
FROM service.consents k CROSS JOIN LATERAL (VALUES
    (k.made_at, 'asked', 'creator'), (k.revoked_at, 'revoked', 'creator'), (k.withdrawn_at, 'withdrawn', NULL),
    (k.answered_at, CASE k.answer WHEN 'yes' THEN 'given' ELSE 'refused' END, NULL)) AS one (at, kind, role)
WHERE k.creator_id = $1 AND one.at IS NOT NULL
UNION ALL
SELECT emptied_at, id, 'style_emptied', id, id, 'place', '', '{}'
FROM service.styles WHERE creator_id = $1 AND emptied_at IS NOT NULL
UNION ALL
SELECT t.created_at, t.style_id || '.' || t.version, 'terms_changed', t.style_id, t.style_id,
    CASE WHEN t.actor = $1 THEN 'creator' ELSE 'operator' END, '', jsonb_build_object('version', t.version)
FROM licensing.terms t JOIN licensing.style s USING (style_id) WHERE s.creator_id = $1 AND t.version > 1
UNION ALL
SELECT created_at, 'rules.' || version, 'rules_changed', nullif(style_id, ''), nullif(style_id, ''),
    CASE WHEN actor = $1 THEN 'creator' ELSE 'operator' END, '', jsonb_build_object('version', version)
FROM licensing.rules WHERE creator_id = $1
UNION ALL
SELECT a.decided_at, a.generation_id, CASE a.decision WHEN 'approved' THEN 'pictures_released'
    ELSE 'pictures_kept_back' END, g.style_id, g.id, 'creator', '', jsonb_build_object('pictures', a.num_pictures)
FROM service.approvals a JOIN service.generations g ON g.id = a.generation_id
WHERE a.creator_id = $1 AND a.decision IS NOT NULL
UNION ALL
SELECT at, left(md5('switch' || event_no), 12), 'switch_changed', nullif(style_id, ''), client_id,
    CASE actor WHEN $1 THEN 'creator' WHEN 'notice' THEN 'place' ELSE 'operator' END, '',
    jsonb_build_object('before', level_before, 'level', level, 'client', client_id, 'voided', voided)
FROM licensing.switch_event WHERE creator_id = $1
UNION ALL
SELECT t.created_at, t.id || '.started', 'training_started', t.style_id, t.id, 'creator', '', '{}'
FROM service.trainings t JOIN service.styles s ON s.id = t.style_id WHERE s.creator_id = $1
UNION ALL
SELECT t.ended_at, t.id || '.ended', 'training_ended', t.style_id, t.id, 'place', '', jsonb_build_object('state', state)
FROM service.trainings t JOIN service.styles s ON s.id = t.style_id WHERE s.creator_id = $1 AND t.ended_at IS NOT NULL
UNION ALL
SELECT c.opened_at, c.id, CASE c.kind WHEN 'withheld_work' THEN 'withheld_appealed' ELSE 'case_opened' END,
    w.style_id, c.subject, CASE c.kind WHEN 'withheld_work' THEN 'creator' ELSE 'place' END, '',
    jsonb_build_object('case', c.id)
FROM service.cases c LEFT JOIN service.works w ON w.id = c.subject WHERE c.creator_id = $1
UNION ALL
SELECT (one.said->>'at')::timestamptz, c.id || '.' || one.number,
    CASE one.said->>'by' WHEN 'operator' THEN 'case_decided' ELSE 'case_answered' END,
    w.style_id, c.subject, one.said->>'by', '', jsonb_build_object('case', c.id, 'sentence', one.said->>'sentence')
FROM service.cases c CROSS JOIN LATERAL jsonb_array_elements(c.said) WITH ORDINALITY AS one (said, number)
LEFT JOIN service.works w ON w.id = c.subject WHERE c.creator_id = $1
UNION ALL
SELECT (one.said->>'at')::timestamptz, k.id || '.' || one.number, 'claim_' || (one.said->>'act'), k.style_id, k.work_id,
    one.said->>'by', '', jsonb_build_object('claim', k.id, 'outcome', one.said->>'outcome')
FROM service.claims k CROSS JOIN LATERAL jsonb_array_elements(k.said) WITH ORDINALITY AS one (said, number)
WHERE k.creator_id = $1
UNION ALL
SELECT closed_at, id || '.closed', 'claim_closed', style_id, work_id, 'place', '',
    jsonb_build_object('claim', id, 'outcome', outcome)
FROM service.claims WHERE creator_id = $1 AND closed_at IS NOT NULL
UNION ALL
SELECT at, id, CASE WHEN refused IS NOT NULL THEN 'file_refused' WHEN purpose = 'case' THEN 'work_seen'
    ELSE 'work_removed' END, style_id,
    CASE purpose WHEN 'deletion' THEN split_part(split_part(files->0->>'key', '/', 3), '.', 1) ELSE job END,
    role, CASE actor WHEN $1 THEN via ELSE '' END, jsonb_build_object('files', num_files)
FROM service.data_use WHERE creator_id = $1
    AND (refused IS NOT NULL OR purpose = 'case' OR (purpose = 'deletion' AND role <> 'place'))
UNION ALL
SELECT at, id || '.own', 'others_work_seen', NULL, job, role, via, '{}'
FROM service.data_use WHERE actor = $1 AND purpose = 'case' AND refused IS NULL
"""

_COLUMNS = "at, ref, kind, style_id, subject, role, via, data"


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One line of a record. `style_name` is None for what is of no one style; `role` is None where nobody knows it."""

    at: datetime
    ref: str
    kind: Kind
    style_id: str | None
    style_name: str | None
    subject: str
    role: WhoRole | None
    via: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Names the line, and its place in time."""
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}.{self.ref}"

    @property
    def person(self) -> str | None:
        """The account of whoever of a client's team did it; None where nobody else acted for the account."""
        person: str | None = self.data.get("by")
        return person

    @property
    def sentence(self) -> Sentence:
        return Sentence(_SENTENCES[self.kind], _blanks(self))


@dataclass(frozen=True, kw_only=True)
class Whose:
    """A line of somebody's record, with whose it is: as the operator reads all records together."""

    entry: AuditEntry
    account_id: str
    account_name: str
    account_role: str


async def note(
    conn: Connection,
    kind: Noted,
    *,
    account_id: str,
    by: Who,
    now: datetime,
    style_id: str | None = None,
    subject: str = "",
    **data: Any,
) -> None:
    """Write down what was done, in the transaction that does it; and by whom of a client's team."""
    assert kind in get_args(Noted), kind
    if by.person:
        data["by"] = by.person
    await conn.execute(
        "INSERT INTO service.audit (at, account_id, style_id, kind, subject, role, via, data)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(now, account_id, style_id, kind, subject, by.role, by.via, json.dumps(data)),
    )


async def list_entries(
    conn: Connection, account_id: str, *, style_id: str | None = None, limit: int, before: str | None = None
) -> list[AuditEntry]:
    """What was done with what is an account's, newest first; of one style, with what was done to all.

    before: the `id` of an entry. Raises ValueError for what is none.
    """
    wanted, values = ["true"], list[Any]()
    if style_id is not None:
        values.append(style_id)
        wanted.append("(e.style_id = $3 OR (e.style_id IS NULL AND e.kind = 'switch_changed'))")
    if before is not None:
        values += _place_in_time(before)
        at, ref = f"${len(values) + 1}", f"${len(values) + 2}"
        # Said twice, for an index knows times and no references.
        wanted.append(f"e.at <= {at} AND (e.at, e.ref) < ({at}, {ref})")
    # The newest of each source, of which the newest of all are: so the long ones are read by an index, and no further.
    newest = " UNION ALL ".join(
        f"(SELECT at, ref, kind, style_id, subject, role, via, data::jsonb AS data FROM ({source}) AS e ({_COLUMNS})"
        f" WHERE {' AND '.join(wanted)} ORDER BY e.at DESC, e.ref DESC LIMIT $2)"
        for source in _SOURCES.split("UNION ALL")
    )
    rows = await conn.fetch(
        f"SELECT e.*, s.name AS style_name FROM (SELECT * FROM ({newest}) f ORDER BY at DESC, ref DESC LIMIT $2) e"
        " LEFT JOIN service.styles s ON s.id = e.style_id ORDER BY e.at DESC, e.ref DESC",
        *(account_id, limit, *values),
    )
    return [read(AuditEntry, row) for row in rows]


async def list_everybodys(
    conn: Connection,
    *,
    account_id: str | None = None,
    kind: Kind | None = None,
    style_id: str | None = None,
    since: datetime,
    until: datetime,
    limit: int,
    before: str | None = None,
) -> list[Whose]:
    """Lines of all records, newest first, from a moment to before another; of one account, kind or style where they
    are named. For the operator.

    before: the `id` of an entry. Raises ValueError for what is none.
    """
    further, values = named(
        ("whose.id = {}", account_id), ("e.kind = {}", kind), ("e.style_id = {}", style_id), after=3
    )
    if before is not None:
        values += _place_in_time(before)
        further += f" AND (e.at, e.ref) < (${len(values) + 2}, ${len(values) + 3})"
    # The newest of each source, of all accounts at once: not each account's of each source.
    newest = " UNION ALL ".join(
        "(SELECT e.at, e.ref, e.kind, e.style_id, e.subject, e.role, e.via, e.data::jsonb AS data,"
        " whose.id AS account_id, whose.name AS account_name, whose.role AS account_role"
        f" FROM service.accounts whose CROSS JOIN LATERAL ({source}) AS e ({_COLUMNS})"
        f" WHERE e.at >= $1 AND e.at < $2{further} ORDER BY e.at DESC, e.ref DESC LIMIT $3)"
        for source in _SOURCES.replace("$1", "whose.id").split("UNION ALL")
    )
    rows = await conn.fetch(
        f"SELECT e.*, s.name AS style_name FROM (SELECT * FROM ({newest}) f ORDER BY at DESC, ref DESC LIMIT $3) e"
        " LEFT JOIN service.styles s ON s.id = e.style_id ORDER BY e.at DESC, e.ref DESC",
        *(since, until, limit, *values),
    )
    return [
        Whose(
            entry=read(AuditEntry, row),
            account_id=row["account_id"],
            account_name=row["account_name"],
            account_role=row["account_role"],
        )
        for row in rows
    ]


def _place_in_time(entry_id: str) -> tuple[datetime, str]:
    moment, _, ref = entry_id.partition(".")
    try:
        return _EPOCH + timedelta(microseconds=int(moment)), ref
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{entry_id!r} is no place in a record; take `next_cursor` as it came") from error


_SENTENCES = templates(
    {
        "account_made": "Your account was made.",
        "link_shown": "The operator opened a one-time link in a letter to you, to pass it on: no e-mail had"
        " brought it.",
        "link_made": "A one-time link that signs in to your account was made.",
        "signed_in": "Somebody signed in to your account with a {way}.",
        "signed_out": "A session of your account was ended.",
        "password_set": "The password of your account was set; its other sessions were ended.",
        "second_factor_on": "A second factor was switched on for your account.",
        "second_factor_off": "The second factor of your account was switched off.",
        "recovery_codes_made": "New recovery codes of your account were made; those before do not work any more.",
        "recovery_code_used": "A recovery code of your account was used.",
        "payee_changed": "Where you are paid was changed. If that was not you, change it back within three days.",
        "dues_consent_changed": "It was said whether the monthly fee may be taken from your earnings: {takes}.",
        "dues_paid": "{amount} of your monthly fee was booked as paid ({subject}).",
        "dues_waived": "{amount} of your monthly fee was waived: you do not owe it any more.",
        "bank_statement_read": "You uploaded a bank statement with {lines} ({subject}); nothing was booked yet.",
        "bank_statement_booked": "You confirmed the bank statement {subject}: {lines} booked something.",
        "bank_statement_dropped": "You dropped the bank statement {subject}, of which nothing had been booked.",
        "refund_sent": "{amount} were sent back to you ({subject}).",
        "refund_returned": "{amount} that were sent back to you came back ({subject}); they are prepaid money again.",
        "payee_connecting": "The account {subject} at the payment provider was begun, for you to be paid there.",
        "member_invited": "Somebody was asked into your team ({subject}): {team_level}.",
        "member_uninvited": "The invitation {subject} into your team was withdrawn.",
        "member_joined": "Somebody came into your team ({subject}): {team_level}.",
        "member_changed": "What {subject} of your team may was changed: {team_level}.",
        "member_ended": "{subject} is not in your team any more.",
        "member_left": "{subject} has left your team.",
        "key_made_by_member": "Somebody of your team made the key {subject}.",
        "key_revoked_by_member": "Somebody of your team revoked the key {subject}.",
        "key_cap_changed": "The spending limit of the key {subject} was changed.",
        "sale_refunded": "The sale of picture {subject} was taken back; its certificate is revoked.",
        "erasure_asked": "It was asked that your account be erased.",
        "account_erased": "What told whose account this was is deleted.",
        "key_made": "The key {hint}… ({subject}) was made.",
        "key_first_used": "The key {subject} was used for the first time.",
        "key_revoked": "The key {hint}… ({subject}) was revoked.",
        "style_made": "{style} was made.",
        "style_emptied": "All works, trained files and copies of {style} were deleted.",
        "terms_changed": "{style} got new terms, version {version}.",
        "rules_changed": "Rules, version {version}, hold for {style}.",
        "pictures_released": "You released {pictures} of {style} to the client of {subject}.",
        "pictures_kept_back": "You kept {pictures} of {style} back from the client of {subject}.",
        "switch_changed": "The switch of {style}{of_client} went from {before} to {level}; it ended {voided}.",
        "works_added": "{works} came to {style}.",
        "work_removed": "Work {subject} was removed from {style}.",
        "rights_changed": "The rights of {works} of {style} were set to {rights}.",
        "start_offered": "A work of {style} was offered to clients, to start variations from.",
        "start_taken_back": "A work of {style} was taken back: clients start no variations from it any more.",
        "consent_asked": "A link was made that asks for consent to {works} of {style} ({subject}).",
        "consent_given": "Whoever was asked said yes to {works} of {style} ({subject}).",
        "consent_refused": "Whoever was asked said no to {works} of {style} ({subject}).",
        "consent_withdrawn": "The yes to {works} of {style} was taken back ({subject}); they are not used any more.",
        "consent_revoked": "You took the question about {works} of {style} back ({subject}); its link works no more.",
        "training_started": "Training {subject} of {style} was asked for.",
        "training_resumed": "Training {subject} of {style}, which was {state}, goes on.",
        "training_ended": "Training {subject} of {style} ended: {state}.",
        "version_published": "Version {number} of {style} was published.",
        "version_unpublished": "Version {number} of {style} is no longer published: a work in it lost its right.",
        "version_restored": "Version {number} of {style} may be sold again: {claim} was rejected on appeal.",
        "withheld_appealed": "You asked that a picture may come back that a claim keeps out ({case}).",
        "claim_opened": "Somebody outside claims work {subject} of {style}; the operator decides ({claim}).",
        "claim_said": "Something was said in {claim}, about work {subject} of {style}.",
        "claim_decided": "The operator decided {claim}, about work {subject} of {style}: {outcome}.",
        "claim_appealed": "{claim}, about work {subject} of {style}, was appealed against.",
        "claim_withdrawn": "Whoever claimed work {subject} of {style} let it go ({claim}).",
        "claim_closed": "{claim}, about work {subject} of {style}, is closed: {outcome}.",
        "terms_accepted": "Version {version} of who owns what was accepted for your account.",
        "case_opened": "Work {subject} looks like somebody else's; the operator was asked ({case}).",
        "case_answered": "You said something in {case}.",
        "case_decided": "The operator decided {case}: {sentence}",
        "work_seen": "The operator looked at a work of {style}, to decide {subject}.",
        "others_work_seen": "You looked at a work, to decide {subject}.",
        "file_refused": "{subject} asked for {files} of {style} and was refused; nothing was opened.",
    }
)
_NAMED = ("before", "level", "rights", "state", "outcome", "way", "takes", "team_level")
_NAMES: Mapping[str, Sentence] = {
    "live": say("live"),
    "closed": say("closed"),
    "paused": say("paused"),
    "wind_down": say("wind down"),
    "off": say("off"),
    "destroyed": say("destroyed"),
    "mine": say("mine"),
    "client_consented": say("client consented"),
    "licensed": say("licensed"),
    "unsure": say("unsure"),
    "passed": say("passed"),
    "refused": say("refused"),
    "failed": say("failed"),
    "canceled": say("canceled"),
    "upheld": say("upheld"),
    "rejected": say("rejected"),
    "withdrawn": say("withdrawn"),
    "makes": say("makes pictures"),
    "pays": say("pays"),
    "manages": say("manages"),
    "link": say("link"),
    "password": say("password"),
    "yes": say("yes"),
    "no": say("no"),
}
_ONE = templates(
    {
        "works": "{number} work",
        "pictures": "{number} picture",
        "files": "{number} file",
        "voided": "{number} order",
        "lines": "{number} line",
    }
)
_MANY = templates(
    {
        "works": "{number} works",
        "pictures": "{number} pictures",
        "files": "{number} files",
        "voided": "{number} orders",
        "lines": "{number} lines",
    }
)


def _blanks(entry: AuditEntry) -> dict[str, Any]:
    told: dict[str, Any] = {name: str(value) for name, value in entry.data.items()}
    named = {name: _NAMES.get(told[name], told[name].replace("_", " ")) for name in _NAMED if name in told}
    numbers = {name: entry.data[name] for name in _ONE if name in entry.data}
    counted = {
        name: Sentence((_ONE if number == 1 else _MANY)[name], {"number": number}) for name, number in numbers.items()
    }
    return {
        # Of before there was another way.
        "way": _NAMES["link"],
        **told,
        **named,
        **counted,
        "style": entry.style_name or say("all your styles"),
        "of_client": say(" for client {client}", client=told["client"]) if told.get("client") else "",
        "subject": entry.subject or say("Somebody"),
    }
