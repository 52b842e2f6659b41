"""One picture that is like a work may be chance; one that comes again with other noise is a copy."""

from types import SimpleNamespace

import pytest
from PIL import Image

from inference.adapters.stack import Adapter
from tests.training.portfolio import drawing
from tests.training.test_copies import WORKS, learnt
from training import again
from training.again import look_for_copies
from training.control import Series
from training.examination import AGAIN, DOUBTED, FURTHER
from training.recipe import Gate
from training.sampling import order_for
from training.trial import EXTRAPOLATION, Found, Pictures

ADAPTER = Adapter(layers={}, style_guidance=3.0)
TRIED = tuple(range(8))
"""Works whose captions are tried."""


def other(number: int = 999) -> Image.Image:
    return drawing(number, 128)


def series(words: list[str], works: tuple[int, ...] = ()) -> Series:
    orders = tuple(order_for(word, trigger="xovaj", seed=7 + number) for number, word in enumerate(words))
    return Series(orders=orders, works=works, without=tuple(other() for _ in orders), steps=3)


CONTROL = SimpleNamespace(
    learnt=learnt(),
    learnt_works=tuple(range(len(WORKS))),
    captions=series([f"thing {work}" for work in TRIED], TRIED),
    alone=series(["", ""]),
)
TRAINING = SimpleNamespace(
    base=SimpleNamespace(spec=SimpleNamespace(style_guidance=2.0)),
    stack=None,
    guidance=4.0,
    recipe=SimpleNamespace(gate=Gate()),
)


def pictures(*, captions: dict[int, Image.Image], further: dict[int, Image.Image], alone: dict[int, Image.Image]):
    """Nothing but strangers, except where told."""

    def of(count: int, told: dict[int, Image.Image]) -> tuple[Image.Image, ...]:
        return tuple(told.get(number) or other(100 + number) for number in range(count))

    return Pictures(
        words=(),
        shown=(),
        captions=of(len(TRIED), captions),
        further=of(FURTHER, further),
        alone=of(2, alone),
        blank=of(2, {}),
    )


@pytest.fixture
def look(monkeypatch):
    """Looks for copies where other noise brings `anew`; tells what was found and each call to draw."""

    def look(*anew: Image.Image, captions=None, further=None, alone=None) -> tuple[Found, list]:
        calls = []

        def draw(base, stack, orders, *, adapter, guidance, steps, go_on):
            calls.append((orders, adapter, steps))
            return list(anew) if adapter is not None else [other() for _ in orders]

        monkeypatch.setattr(again, "draw", draw)
        shown = pictures(captions=captions or {}, further=further or {}, alone=alone or {})
        return look_for_copies(TRAINING, CONTROL, ADAPTER, shown, go_on=lambda: None), calls

    return look


def test_a_near_copy_that_other_noise_does_not_bring_is_chance(look):
    found, _ = look(*(other(200 + number) for number in range(AGAIN)), captions={3: WORKS[3]})

    assert found == Found(copies=(), once=1)


def test_a_near_copy_that_comes_once_again_counts(look):
    found, _ = look(*(other(200 + number) for number in range(AGAIN - 1)), WORKS[3], captions={3: WORKS[3]})

    assert [(copy.sample, copy.work) for copy in found.copies] == [(3, 3)]
    assert found.once == 0


def test_another_work_at_the_same_words_is_not_the_copy_again(look):
    found, _ = look(*(WORKS[4] for _ in range(AGAIN)), captions={3: WORKS[3]})

    assert found == Found(copies=(), once=1)


def test_without_words_any_work_counts_as_one_that_comes_again(look):
    found, _ = look(*(other(200 + number) for number in range(AGAIN - 1)), WORKS[9], alone={1: WORKS[5]})

    assert [copy.work for copy in found.copies] == [5]


def test_more_than_a_few_are_no_chance_and_are_not_drawn_again(look):
    found, calls = look(captions={work: WORKS[work] for work in range(DOUBTED + 1)})

    assert [copy.work for copy in found.copies] == [0, 1, 2]
    assert calls == []


def test_it_is_drawn_with_the_same_words_and_weight_and_always_other_noise(look):
    _, calls = look(*(other(200 + number) for number in range(AGAIN)), further={2: WORKS[2]})

    (plain, nobody, steps), (called, adapter, _) = calls
    first = CONTROL.captions.orders[2]
    assert nobody is None
    assert adapter.style_guidance == EXTRAPOLATION * ADAPTER.style_guidance, "it was found far beyond its weight"
    assert [order.called for order in called] == [first.called] * AGAIN
    assert [order.called for order in plain] == [first.plain] * AGAIN
    assert steps == CONTROL.captions.steps
    seeds = [order.seed for order in called]
    assert len({*seeds, *(order.seed for order in CONTROL.captions.orders)}) == AGAIN + len(TRIED)
    assert [order.seed for order in plain] == seeds
