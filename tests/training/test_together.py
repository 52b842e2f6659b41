"""Many creators in one pass: each learns what it would have learnt alone, and nothing of another's."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from inference.adapters.stack import StackedAdapters
from inference.bases.sd import StableDiffusion
from tests.training.portfolio import drawing
from tests.training.test_training import request_for
from training import state, steps
from training.encode import encode
from training.errors import OverBudget, RecipeInvalid, RequestInvalid, TooLarge, TrainingBroke
from training.messages import HeldOut, StateChanged
from training.pipeline import Job, Trained, train_together
from training.plan import split_works
from training.recipe import Recipe
from training.review.portfolio import review_portfolio
from training.run import main
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


# --- from works to files


@pytest.fixture
def jobs_of(tmp_path, tiny_entry, tiny_recipe):
    """Jobs of some creators, what each of them heard, and a way to stop one."""
    folder, heard, stopped = tmp_path / "creators", {}, set()
    folder.mkdir()

    def jobs_of(creators: Sequence[int], *, scratch: str = "s", **changes) -> list[Job]:
        jobs = []
        for creator in creators:
            works = folder / str(creator)
            if not works.exists():
                portfolio_of(works, creator)
            request = request_for(
                works, tiny_entry, tiny_recipe, folder / f"{scratch}{creator}", id=f"trn_{creator}", **changes
            )
            events = heard.setdefault(creator, [])
            jobs.append(Job(request=request, on_event=events.append, stop=lambda creator=creator: creator in stopped))
        return jobs

    jobs_of.heard, jobs_of.stopped = heard, stopped
    return jobs_of


def adapter_tensors_of(trained: Trained) -> dict[str, torch.Tensor]:
    assert trained.adapter is not None
    return load_file(trained.adapter)


def test_each_creator_gets_the_adapter_report_and_verdict_that_training_alone_gives(jobs_of):
    together = train_together(jobs_of([0, 1, 2]))
    alone = [train_together([job])[0] for job in jobs_of([0, 1, 2], scratch="alone")]

    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Trained)
        assert isinstance(other, Trained)
        assert one.outcome == other.outcome
        own, expected = adapter_tensors_of(one), adapter_tensors_of(other)
        assert own.keys() == expected.keys()
        for name, tensor in own.items():
            torch.testing.assert_close(tensor.float(), expected[name].float(), atol=2e-3, rtol=2e-2)
    states = [event.state for event in jobs_of.heard[1] if isinstance(event, StateChanged)]
    assert states[:5] == ["preparing", "preparing", "training", "measuring", together[1].outcome]


def test_one_that_stops_fails_or_has_too_few_works_leaves_the_others_to_go_on(jobs_of, tmp_path):
    jobs = jobs_of([0, 1])
    few, broken = jobs_of([2, 3])
    few = replace(few, request=replace(few.request, works=few.request.works[:2]))
    broken = replace(broken, request=replace(broken.request, recipe="no-such-recipe"))
    pausing = replace(jobs[1], stop=lambda: any(isinstance(event, HeldOut) for event in jobs_of.heard[1]))

    ended = train_together([jobs[0], pausing, few, broken])

    assert ended[0].outcome in ("passed", "refused")
    assert ended[0].adapter.exists()
    assert ended[1].outcome == "interrupted"
    assert ended[2].outcome == "refused"
    assert isinstance(ended[3], RecipeInvalid)
    assert [event.step for event in jobs_of.heard[0] if isinstance(event, HeldOut)] == [6, 12]
    assert [event.step for event in jobs_of.heard[1] if isinstance(event, HeldOut)] == [6]
    assert jobs_of.heard[3][-1] == StateChanged(state="failed", message=str(ended[3]))

    [resumed] = train_together([jobs[1]])
    assert resumed.outcome in ("passed", "refused")


def test_one_that_takes_too_long_is_told_so_alone(jobs_of):
    patient, hurried = jobs_of([0, 1])
    hurried = replace(hurried, request=replace(hurried.request, max_minutes=1e-6))

    ended = train_together([patient, hurried])

    assert ended[0].outcome in ("passed", "refused")
    assert isinstance(ended[1], OverBudget)


def test_trainings_over_different_bases_do_not_share_a_batch(jobs_of):
    one, other = jobs_of([0, 1])
    other = replace(other, request=replace(other.request, base="openicons"))

    with pytest.raises(RequestInvalid, match="different bases"):
        train_together([one, other])


def test_a_process_tells_whose_every_line_is(jobs_of, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("training.interruption._await_end_of_input", lambda told: None)
    files = []
    for job in jobs_of([0, 1]):
        files.append(tmp_path / f"{job.request.id}.json")
        files[-1].write_text(job.request.to_json())

    code = main([*map(str, files), "--device", "cpu"])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    ends = {line["training"]: line["state"] for line in lines if line["event"] == "state"}
    assert {line["training"] for line in lines} == {"trn_0", "trn_1"}
    assert set(ends) == {"trn_0", "trn_1"}
    assert code == (3 if "refused" in ends.values() else 0)


def test_where_nobody_can_begin_everybody_is_told(jobs_of):
    [few] = jobs_of([0])
    few = replace(few, request=replace(few.request, works=few.request.works[:2]))

    [ended] = train_together([few])

    assert ended.outcome == "refused"
    assert not list(steps.take_steps_together([]))
