"""A power cut between handing a letter over and noting it: it comes again, under the same Message-ID."""

from pathlib import Path

from service.letters import Letter, write_letter
from service.mailing import LEASE, send_next
from tests.service.letters.mailbox import mailbox
from tests.stories.town import open_town, person


async def test_what_was_handed_over_by_a_process_that_died_comes_again_from_another(database_url: str, tmp_path: Path):
    with mailbox() as box:
        mail = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "office@ownhand.test"}
        async with open_town(database_url, tmp_path, has_worker=False, **mail) as town:
            client = await person(town.web, "client", "test", name="reader")
            town.processes.kill("web")
            town.processes.start("web", crash_at="letter_sent")

            now = town.web.clock()
            letter = Letter(
                kind="plan.ended", account_id=client.account.id, about="pln_1", subject="s", words="w", path="/desk"
            )
            async with town.web.house() as conn:
                assert await write_letter(conn, letter, now=now)
            town.processes.wait_until_dead("web")
            now = town.web.clock()
            tries = [await send_next(town.web, now=when) for when in (now, now + LEASE, now + LEASE)]

        assert tries == [False, True, False]
        assert len(box.ids) == 2
        assert len(set(box.ids)) == 1
        assert box.came[0].raw == box.came[1].raw
