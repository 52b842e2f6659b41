"""Many creators in one pass: each learns what it would have learnt alone, and nothing of another's."""

import math
from dataclasses import replace

import pytest
import torch

from inference.adapters.stack import StackedAdapters
from inference.bases.sd import StableDiffusion
from tests.training.portfolio import drawing
from training import state, steps
from training.encode import encode
from training.errors import TooLarge, TrainingBroke
from training.plan import split_works
from training.recipe import Recipe
from training.review.portfolio import review_portfolio
from training.works import works_in

RECIPE = Recipe(
    name="r",
    base="tiny",
    rank=2,
    learning_rate=3e-3,
    steps=4,
    batch=4,
    warmup=1,
    text_targets=("q_proj", "v_proj"),
)


def portfolio_of(folder, creator: int):
    folder.mkdir()
    for number in range(9):
        drawing(100 * creator + number).save(folder / f"thing {number}.png")
    return folder


@pytest.fixture
def begin(tiny_base: StableDiffusion, tmp_path):
    """Begins the training of one of three creators, with works, words and a call of their own."""
    stack = StackedAdapters(tiny_base.denoiser)
    folders = [portfolio_of(tmp_path / f"creator {creator}", creator) for creator in range(3)]

    def begun(creator: int, recipe: Recipe = RECIPE) -> state.Training:
        review = review_portfolio(works_in(folders[creator]), size=32, min_works=8, is_whole=False)
        data = encode(
            tiny_base,
            review.good,
            trigger=f"xovaj{creator}",
            style_words=(),
            crops=1,
            flips=True,
            seed=creator,
            go_on=lambda: None,
        )
        split = split_works(review.clusters, recipe, seed=creator)
        return state.begin(
            tiny_base, stack, data, split, recipe, seed=creator, fingerprint="one", folder=tmp_path / f"{creator}"
        )

    return begun


def finished(trainings):
    for _ in steps.take_steps_together(trainings):
        pass
    return trainings


def test_trained_together_is_trained_alone(begin):
    together = finished([begin(creator) for creator in range(3)])

    for creator, training in enumerate(together):
        [alone] = finished([begin(creator)])
        for name, tensor in alone.parameters.items():
            torch.testing.assert_close(training.parameters[name], tensor, atol=2e-5, rtol=1e-3, msg=name)
        assert max(tensor.abs().max() for name, tensor in alone.parameters.items() if name.endswith("up")) > 1e-3


def test_another_creators_works_leave_no_trace(begin):
    def beside(other: int) -> dict[str, torch.Tensor]:
        first, _ = finished([begin(0), begin(other)])
        return first.parameters

    with_one, with_another = beside(1), beside(2)

    for name, tensor in with_one.items():
        assert torch.equal(tensor, with_another[name]), name


def test_gradients_do_not_cross(begin):
    trainings = [begin(creator) for creator in range(2)]
    next(steps.take_steps_together(trainings))
    for training in trainings:
        training.optimizer.zero_grad(set_to_none=True)

    rows = [row for training in trainings for row in steps._rows_of(training)]
    steps._weighted_errors(rows)[: RECIPE.batch].sum().backward()

    assert any(tensor.grad.abs().max() > 0 for tensor in trainings[0].parameters.values())
    assert all(tensor.grad is None or not tensor.grad.any() for tensor in trainings[1].parameters.values())


def test_each_creator_has_an_own_end(begin):
    short, long = begin(0, replace(RECIPE, steps=2)), begin(1)

    taken = [
        [(training.seed, done.step) for training, done in round_] for round_ in steps.take_steps_together([short, long])
    ]

    assert taken == [[(0, 1), (1, 1)], [(0, 2), (1, 2)], [(1, 3)], [(1, 4)]]


def test_recipes_may_differ_in_rank_and_rows(begin):
    small, large = begin(0), begin(1, replace(RECIPE, rank=4, batch=6, prior_share=0.0, text_targets=()))

    finished([small, large])

    [alone] = finished([begin(0)])
    for name, tensor in alone.parameters.items():
        torch.testing.assert_close(small.parameters[name], tensor, atol=2e-5, rtol=1e-3, msg=name)


def test_numbers_that_break_for_one_end_that_one_alone(begin):
    sound, broken = begin(0), begin(1)
    with torch.no_grad():
        next(iter(broken.parameters.values())).fill_(math.inf)

    rounds = list(steps.take_steps_together([sound, broken]))

    assert isinstance(rounds[0][1][1], TrainingBroke)
    assert "lower learning_rate in the recipe 'r'" in str(rounds[0][1][1])
    assert [len(round_) for round_ in rounds] == [2, 1, 1, 1]
    assert all(torch.isfinite(tensor).all() for tensor in sound.parameters.values())
    assert broken.step == 0


class SmallMemory:
    """Lets a base answer only so many rows at once."""

    def __init__(self, base: StableDiffusion, rows: int) -> None:
        self.asked: list[int] = []
        self._predict, self._rows = base.predict, rows
        base.predict = self

    def __call__(self, noised, timesteps, texts):
        self.asked.append(len(noised))
        if len(noised) > self._rows:
            raise torch.OutOfMemoryError("no room")
        return self._predict(noised, timesteps, texts)


def test_a_batch_that_does_not_fit_is_taken_in_parts_that_add_up_to_it(begin):
    whole, parts = [begin(0), begin(1)], [begin(0), begin(1)]
    for training in (*whole, *parts):
        for name, tensor in training.parameters.items():
            tensor.data.add_(0.01 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(len(name))))
    losses, rows_at_once = steps._learn(whole, 8)
    memory = SmallMemory(parts[0].base, rows=3)

    losses_in_parts, rows_that_fitted = steps._learn(parts, 8)

    assert (rows_at_once, rows_that_fitted) == (8, 2)
    assert losses_in_parts == pytest.approx(losses, rel=1e-5)
    for one, other in zip(whole, parts, strict=True):
        for name, tensor in one.parameters.items():
            torch.testing.assert_close(other.parameters[name].grad, tensor.grad, atol=1e-7, rtol=1e-3, msg=name)
    assert memory.asked.count(8) == 1


def test_what_did_not_fit_once_is_not_tried_again(begin):
    trainings = [begin(0), begin(1)]
    memory = SmallMemory(trainings[0].base, rows=3)

    rounds = list(steps.take_steps_together(trainings))

    assert {done.rows_at_once for round_ in rounds for _, done in round_} == {2}
    assert memory.asked.count(8) == 1


def test_a_base_of_which_no_row_fits_is_refused_with_a_sentence(begin):
    training = begin(0)
    SmallMemory(training.base, rows=0)

    with pytest.raises(TooLarge, match="not even one row of a training over base 'tiny' fits into the memory of cpu"):
        next(steps.take_steps(training))
    assert training.step == 0
