"""The guards of works that clients start from, and of adapters that are examined in place of others."""

from tests.mutants.guard import Guard

_STARTS = "tests/service/orders/test_starting_points.py"
_CANDIDATES = "tests/service/test_candidates.py"

STARTING = (
    Guard(
        name="start: no strength delivers the work again",
        file="service/intake.py",
        text="        check_far_enough(planned)\n",
        gone="        assert planned\n",
        tests=(f"{_STARTS}::test_a_strength_that_would_keep_the_work_is_refused_with_the_least_one",),
    ),
    Guard(
        name="start: no mask keeps a part of the work",
        file="service/intake.py",
        text="    if body.mask is not None:\n",
        gone='    if body.mask == "":\n',
        tests=(f"{_STARTS}::test_no_part_of_a_work_can_be_kept_and_one_picture_is_enough_to_start_from",),
    ),
    Guard(
        name="start: a consent covers what was asked",
        file="service/works.py",
        text="WHEN 'mine' THEN coalesce({_IS_COVERED}, true)",
        gone="WHEN 'mine' THEN true",
        tests=(f"{_STARTS}::test_a_consent_covers_it_only_where_that_was_asked_and_until_it_is_taken_back",),
    ),
    Guard(
        name="start: a worker opens the work that was ordered",
        file="service/data_use.py",
        text=" AND g.request ->> 'start' = works.id",
        gone="",
        tests=(f"{_STARTS}::test_a_worker_opens_the_work_that_the_order_names_and_no_other",),
    ),
    Guard(
        name="start: clients see works small",
        file="service/data_use.py",
        text='array_agg(storage_key || \'" + thumbnail_key("") + "\')',
        gone="array_agg(storage_key)",
        tests=(f"{_STARTS}::test_nothing_is_shown_but_small_pictures_of_what_is_offered",),
    ),
    Guard(
        name="start: nothing is sealed that is gone",
        file="service/generation.py",
        text='if order.request.get("start") and await',
        gone='if order.request.get("never") and await',
        tests=(f"{_STARTS}::test_nothing_is_sealed_whose_starting_point_is_gone",),
    ),
    Guard(
        name="start: other rights take it back",
        file="service/works.py",
        text='            "  offered_at = CASE WHEN coalesce($3, rights) = rights THEN offered_at END,"\n',
        gone="",
        tests=(f"{_STARTS}::test_taking_it_back_takes_it_away_and_ends_what_started_from_it_without_a_charge",),
    ),
    Guard(
        name="candidate: of the works of today",
        file="service/trainings.py",
        text="        if not await _has_same_works(conn, training):\n",
        gone="        if training is None:\n",
        tests=(f"{_CANDIDATES}::test_what_is_not_kept_or_not_learnt_from_the_works_of_today_is_not_examined",),
    ),
    Guard(
        name="start: pictures are compared with it",
        file="service/rendering.py",
        text="        adapter = await asyncio.to_thread(compared_with, adapter, image)\n",
        gone="        assert compared_with\n",
        tests=(f"{_STARTS}::test_what_it_starts_from_is_always_among_what_the_pictures_are_compared_with",),
    ),
)
