"""Small parts that need no database: the token bucket, the marks, the order in which pictures enter the engine."""

import asyncio
import io

import pytest
from PIL import Image

from inference.fairness import Turn
from service.drawing import Places
from service.faults import POINTS, reach
from service.limits import Buckets
from service.marks import DRAFT_EDGE_MAX, draft_size, draw_draft_mark, draw_test_picture


def test_a_bucket_empties_refuses_and_fills_again():
    now = [100.0]
    buckets = Buckets(60, clock=lambda: now[0])

    first = [buckets.take("key").is_let_in for _ in range(61)]
    refused = buckets.take("key")
    now[0] += 2.5
    later = [buckets.take("key").is_let_in for _ in range(3)]

    assert first == [True] * 60 + [False]
    assert (refused.left, round(refused.next_in_s, 3), round(refused.full_in_s, 3)) == (0, 1.0, 60.0)
    assert later == [True, True, False]
    assert buckets.take("another key").is_let_in


def test_a_test_picture_is_the_same_for_the_same_seed_and_says_what_it_is():
    one = draw_test_picture(prompt="an apple", seed=1, width=64, height=48)
    again = draw_test_picture(prompt="an apple", seed=1, width=64, height=48)
    other = draw_test_picture(prompt="an apple", seed=2, width=64, height=48)

    assert one == again != other
    with Image.open(io.BytesIO(one)) as picture:
        assert picture.size == (64, 48)
        assert "test picture" in picture.info["Ownhand"]


@pytest.mark.parametrize(("size", "small"), [((128, 128), (64, 64)), ((2048, 1024), (512, 256)), ((64, 32), (32, 16))])
def test_a_draft_is_half_as_large_with_a_white_band_in_its_corner(size: tuple[int, int], small: tuple[int, int]):
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")

    with Image.open(io.BytesIO(draw_draft_mark(file.getvalue(), size=draft_size(size, share=2)))) as draft:
        pixels = {draft.getpixel((x, y)) for x in range(small[0] // 2, small[0]) for y in range(small[1])}
        assert draft.size == small
        assert max(draft.size) <= DRAFT_EDGE_MAX
        assert (255, 255, 255) in pixels
        assert min(sum(pixel) for pixel in pixels) < 200


async def test_orders_take_their_places_in_turn():
    places, order, go_on = Places(lambda: 2), [], asyncio.Event()

    async def draw(name: str, count: int) -> None:
        async with places.take(count, Turn(client="anna")):
            order.append(name)
            await go_on.wait()

    tasks = [asyncio.create_task(draw(name, count)) for name, count in (("a", 1), ("b", 4), ("c", 1), ("d", 1))]
    await asyncio.sleep(0.01)
    entered_first = list(order)
    go_on.set()
    await asyncio.gather(*tasks)

    # The second is let in by the one free place although it wants four; the third waits behind it.
    assert entered_first == ["a", "b"]
    assert order == ["a", "b", "c", "d"]


async def test_a_place_is_free_as_soon_as_its_picture_is_done():
    places, order = Places(lambda: 2), []

    async def draw(name: str, count: int) -> None:
        async with places.take(count, Turn(client=name)) as given:
            order.append(name)
            async with given[0]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            order.append(f"{name} ends")

    await asyncio.gather(draw("a", 2), draw("b", 1))

    assert order == ["a", "b", "a ends", "b ends"]


async def test_pictures_of_an_order_let_another_client_in_between():
    places, order = Places(lambda: 1), []

    async def draw(client: str, count: int) -> None:
        async with places.take(count, Turn(client=client)) as given:
            for place in given:
                async with place:
                    order.append(client)
                    await asyncio.sleep(0.01)

    await asyncio.gather(draw("anna", 4), draw("ben", 1))

    assert order == ["anna", "ben", "anna", "anna", "anna"]


async def test_one_order_stands_at_the_door():
    places = Places(lambda: 1)
    assert places.has_room

    with places.at_door():
        has_room_with_one = places.has_room

    assert not has_room_with_one
    assert places.has_room


async def test_a_clients_one_order_does_not_wait_behind_anothers_many():
    places, order, go_on = Places(lambda: 1), [], asyncio.Event()

    async def draw(name: str, client: str) -> None:
        async with places.take(1, Turn(client=client)):
            order.append(name)
            await go_on.wait()

    tasks = [asyncio.create_task(draw(f"anna {number}", "anna")) for number in range(5)]
    await asyncio.sleep(0.01)
    tasks.append(asyncio.create_task(draw("ben", "ben")))
    await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(*tasks)

    assert order[:2] == ["anna 0", "ben"]


async def test_who_gives_up_waiting_leaves_the_places_to_others():
    places, order = Places(lambda: 1), []

    async def draw(name: str) -> None:
        async with places.take(1, Turn()):
            order.append(name)
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(draw(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert order == ["a", "c"]


def test_every_point_of_death_is_named_and_says_where_it_is():
    reach("settled", None)
    reach("settled", "delivered")

    assert all(meaning.startswith(("web: ", "worker: ")) for meaning in POINTS.values())
