"""A power cut between sending a message and noting that it arrived: it comes again, under the same id."""

from dataclasses import replace
from pathlib import Path

from service.posting import open_http
from service.sending import LEASE, send_next
from tests.service.webhooks.receiver import NETWORKS, receiving
from tests.stories.town import open_town, person


async def test_what_was_sent_by_a_process_that_died_is_sent_again_by_another(database_url: str, tmp_path: Path):
    with receiving() as receiver:
        async with open_town(database_url, tmp_path, has_worker=False, webhook_networks=NETWORKS) as town:
            client = await person(town.web, "client", "test", name="hearer")
            made = (await client.http.post("/v1/webhooks", json={"url": receiver.url})).json()
            town.processes.kill("web")
            town.processes.start("web", crash_at="message_sent")

            await replace(town, client=client).ask("told", wait=0, count=1)
            town.processes.wait_until_dead("web")
            async with open_http() as http:
                now = town.web.clock()
                tries = [await send_next(town.web, http, now=when) for when in (now, now + LEASE, now + LEASE)]

        assert tries == [False, True, False]
        assert len(receiver.ids) == 2
        assert len(set(receiver.ids)) == 1
        first, second = (post.verified(made["secret"]) for post in receiver.posts)
        assert first == second
        assert (first["type"], first["data"]["state"]) == ("generation.settled", "settled")
