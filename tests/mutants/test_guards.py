"""Every guard of the list is where the list says, and its absence is noticed."""

from pathlib import Path

import pytest

from tests.mutants import GUARDS, ROOT, Guard
from tests.mutants.trying import as_table, copy_tree, try_guards, without


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_stands_where_the_list_says_and_its_tests_are_there(guard: Guard):
    assert without(guard, (ROOT / guard.file).read_text())

    for test in guard.tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(), f"{guard.name}: there is no {test}; name one that guards it"


def test_guards_have_names_of_their_own():
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


@pytest.mark.long
def test_no_guard_can_be_taken_away_unnoticed(tmp_path: Path):
    tried = try_guards(copy_tree(tmp_path / "tree"), GUARDS, say=print)

    assert all(one.is_noticed for one in tried), as_table(tried)
