"""Many creators in one pass: each learns what it would have learnt alone, and nothing of another's."""

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference.adapters.stack import StackedAdapters
from inference.bases.sd import StableDiffusion
from tests.training.portfolio import drawing
from tests.training.test_training import request_for
from training import learning, probe, state, steps
from training.budget import Budget
from training.checkpoint import load_latest_checkpoint
from training.encode import encode
from training.errors import OverBudget, RecipeInvalid, RequestInvalid, TooLarge, TrainingBroke
from training.interruption import Told
from training.learning import Learner, learn
from training.messages import Event, HeldOut, Progress, StateChanged, Way
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


def test_the_time_of_a_step_is_shared_by_rows(begin):
    small, large = begin(0), begin(1, replace(RECIPE, batch=12, steps=2))

    rounds = [{training.seed: done for training, done in taken} for taken in steps.take_steps_together([small, large])]

    assert [{seed: done.share for seed, done in taken.items()} for taken in rounds] == [
        {0: 0.25, 1: 0.75},
        {0: 0.25, 1: 0.75},
        {0: 1.0},
        {0: 1.0},
    ]
    assert rounds[0][0].own_s + rounds[0][1].own_s == pytest.approx(rounds[0][0].seconds)


class Watched(Learner):
    """A learner that notes down how it took its steps, and neither looks nor saves."""

    def __init__(self, training: state.Training) -> None:
        super().__init__(training, None, Budget(0), training.folder, on_event=lambda event: None, go_on=lambda: None)
        self.taken: list[steps.StepDone] = []

    def take(self, done) -> None:
        self.taken.append(done)


def test_everyone_takes_the_first_steps_alone_to_know_what_they_cost(begin):
    learners = [Watched(begin(creator, replace(RECIPE, steps=5))) for creator in range(2)]

    learn(learners)

    for learner in learners:
        assert [(done.step, done.share) for done in learner.taken] == [(1, 1), (2, 1), (3, 1), (4, 0.5), (5, 0.5)]


def test_a_cpu_takes_as_many_rows_of_all_as_it_has_room_for(begin, monkeypatch):
    learners = [Watched(begin(creator, replace(RECIPE, steps=4))) for creator in range(2)]
    one = learners[0].training
    room = 2.5 * probe.row_bytes(one.base, one.data, one.recipe, one.way) / probe.MEMORY_SHARE
    monkeypatch.setattr(probe.psutil, "virtual_memory", lambda: type("Memory", (), {"available": room}))

    learn(learners)

    assert [done.rows_at_once for done in learners[0].taken] == [4, 4, 4, 2], "of one alone its way says it"
    [alone] = finished([begin(0)])
    for name, tensor in alone.parameters.items():
        torch.testing.assert_close(one.parameters[name], tensor, atol=2e-5, rtol=1e-3, msg=name)


def test_those_whose_ways_differ_take_turns(begin):
    learners = [Watched(begin(creator)) for creator in range(3)]
    learners[1].training.way = Way(is_checkpointed=True)
    over: list[int] = []

    learn(learners, when_over=lambda learner: over.append(learner.training.seed))

    assert over == [0, 2, 1]
    assert [done.share for done in learners[2].taken] == [1, 1, 1, 0.5]
    assert {done.share for done in learners[1].taken} == {1}


def test_a_training_keeps_to_the_way_that_it_began_with(jobs_of):
    request = jobs_of([0], way=Way(precision="float32"))[0].request
    request.scratch.mkdir(parents=True)
    (request.scratch / "way.json").write_text('{"precision": "bfloat16"}')

    assert learning._way(request, None, None, None, None, RECIPE, None) == Way(precision="bfloat16")


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


def test_a_gradient_that_is_no_number_moves_nothing(begin):
    sound, broken = begin(0), begin(1)
    before = {name: tensor.detach().clone() for name, tensor in broken.parameters.items()}
    next(iter(broken.parameters.values())).register_hook(lambda gradient: gradient * math.nan)

    rounds = list(steps.take_steps_together([sound, broken]))

    assert "the loss became endlessly steep (nan) in step 1" in str(rounds[0][1][1])
    assert [len(round_) for round_ in rounds] == [2, 1, 1, 1]
    assert broken.step == 0
    for name, tensor in broken.parameters.items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


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


def test_who_has_learnt_is_examined_while_others_learn_and_they_can_leave_meanwhile(jobs_of, tmp_path, tiny_recipe):
    short = tmp_path / "short-style.toml"
    short.write_text(Path(tiny_recipe).read_text().replace("steps = 12", "steps = 6"))
    quick, learning, leaves = jobs_of([0, 1, 2])
    quick = replace(quick, request=replace(quick.request, recipe=str(short)))
    heard: list[tuple[str, Event]] = []

    def is_examined() -> bool:
        return ("trn_0", StateChanged(state="measuring")) in heard

    jobs = [
        replace(job, on_event=lambda event, job=job: heard.append((job.request.id, event)))
        for job in (quick, learning, replace(leaves, stop=is_examined))
    ]

    ended = train_together(jobs)

    ends = [(name, event.state) for name, event in heard if isinstance(event, StateChanged)]
    quick_end = ends.index(("trn_0", ended[0].outcome))
    assert ends.index(("trn_2", "interrupted")) < quick_end < ends.index(("trn_1", "measuring"))
    assert [event.step for name, event in heard if name == "trn_2" and isinstance(event, HeldOut)] == [6]
    assert ended[2].outcome == "interrupted"
    left = load_latest_checkpoint(leaves.request.scratch / "checkpoints")
    assert left is not None
    assert left.state["step"] == 6
    assert [step for step, _ in left.state["heldout"]] == [6], "the look that belongs to the step is in it"


def test_nobodys_time_is_used_up_by_the_others(jobs_of, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("training.pipeline.Budget", lambda minutes: Budget(minutes, clock=lambda: now[0]))
    slow, hurried = jobs_of([0, 1])
    hurried = replace(hurried, request=replace(hurried.request, max_minutes=10))

    def take_an_hour(event: Event) -> None:
        if isinstance(event, HeldOut | StateChanged):
            now[0] += 3600

    ended = train_together([replace(slow, on_event=take_an_hour), hurried])

    assert ended[1].outcome in ("passed", "refused")
    progress = [event for event in jobs_of.heard[1] if isinstance(event, Progress)]
    assert progress[-1].step == progress[-1].steps, "it took all of its steps"


def test_where_no_row_fits_one_alone_is_told_so_and_several_may_be_tried_one_by_one(jobs_of, monkeypatch):
    def no_room(trainings, rows_at_once):
        raise TooLarge("not even one row fits")

    monkeypatch.setattr("training.steps._learn", no_room)
    first, second, alone = jobs_of([0, 1, 2])

    with pytest.raises(TooLarge):
        train_together([first, second])
    [ended] = train_together([alone])

    assert isinstance(ended, TooLarge)
    assert jobs_of.heard[2][-1] == StateChanged(state="failed", message="not even one row fits")
    for creator in (0, 1):
        assert jobs_of.heard[creator][-1] == StateChanged(state="training")


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


def test_a_word_on_standard_input_ends_one_of_several(jobs_of, tmp_path, monkeypatch, capsys):
    theirs, ours = os.pipe()
    os.write(ours, b"stop trn_1\nstop trn_7\n")
    files = []
    for job in jobs_of([0, 1]):
        files.append(tmp_path / f"{job.request.id}.json")
        files[-1].write_text(job.request.to_json())
    with os.fdopen(theirs) as told:
        monkeypatch.setattr(sys, "stdin", told)
        code = main([*map(str, files), "--device", "cpu"])
    os.close(ours)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    ends = {line["training"]: line["state"] for line in lines if line["event"] == "state"}
    assert ends["trn_1"] == "interrupted"
    assert ends["trn_0"] in ("passed", "refused")
    assert code == 75


def test_only_whole_words_are_heard():
    told = Told()

    told.hear("stop trn_1\n")
    told.hear("stop\n")
    told.hear("")

    assert told.to_stop("trn_1")
    assert not told.to_stop("trn_11")
    assert not told.to_end()
    told.end()
    assert told.to_stop("trn_11")


def test_where_nobody_can_begin_everybody_is_told(jobs_of):
    [few] = jobs_of([0])
    few = replace(few, request=replace(few.request, works=few.request.works[:2]))

    [ended] = train_together([few])

    assert ended.outcome == "refused"
    assert not list(steps.take_steps_together([]))
