"""The guards of who acts for a client, and as what."""

from tests.mutants.guard import Guard

_AREAS = "tests/service/teams/test_areas.py"
_ACTING = "tests/service/teams/test_acting.py"
_INVITATIONS = "tests/service/teams/test_invitations.py"

TEAMS = (
    Guard(
        name="team: each level reaches its own areas",
        file="service/areas.py",
        text="return area is not None and (area.is_own or level in area.levels)",
        gone="return area is not None",
        tests=(f"{_AREAS}::test_each_level_reaches_its_areas_and_is_refused_all_others",),
    ),
    Guard(
        name="team: a path of no area is refused",
        file="service/areas.py",
        text="return found[0] if len(found) == 1 else None",
        gone="return found[0] if found else AREAS[1]",
        tests=(f"{_AREAS}::test_a_path_of_no_area_is_reached_at_no_level",),
    ),
    Guard(
        name="team: an ended membership is looked at with every request",
        file="service/sessions.py",
        text=" WHERE m.account_id = sessions.account_id AND m.ended_at IS NULL AND c.disabled_at IS NULL)",
        gone=" WHERE m.account_id = sessions.account_id AND c.disabled_at IS NULL)",
        tests=(
            f"{_ACTING}::test_an_ended_membership_refuses_the_very_next_request_and_nothing_is_done_in_ones_own_name",
        ),
    ),
    Guard(
        name="team: what was meant for a client is not done in one's own name",
        file="service/auth.py",
        text="    if team is None:\n        raise Problem(",
        gone="    if team is None:\n        return\n        raise Problem(",
        tests=(
            f"{_ACTING}::test_an_ended_membership_refuses_the_very_next_request_and_nothing_is_done_in_ones_own_name",
        ),
    ),
    Guard(
        name="team: a stream ends with its level",
        file="service/auth.py",
        text="now.account.id == then.account.id and now.level == then.level",
        gone="now.account.id == then.account.id",
        tests=(f"{_ACTING}::test_a_stream_is_let_in_no_longer_than_the_membership_and_its_level_hold",),
    ),
    Guard(
        name="team: a page of before a switch does nothing for another",
        file="service/sessions.py",
        text='return f"{own}.{self.acts_for}" if self.acts_for else own',
        gone="return own",
        tests=(f"{_ACTING}::test_a_page_of_before_a_switch_does_nothing_for_another",),
    ),
    Guard(
        name="invitation: for its address alone",
        file="service/teams.py",
        text="        if found.email != person.email:\n",
        gone="        if False:\n",
        tests=(f"{_INVITATIONS}::test_a_link_is_for_its_address_and_whoever_has_another_is_told",),
    ),
    Guard(
        name="invitation: proves an address only where a letter alone had it",
        file="service/teams.py",
        text="    if not found.is_mailed:\n",
        gone="    if False:\n",
        tests=(f"{_INVITATIONS}::test_without_e_mail_the_link_is_shown_once_and_proves_no_address",),
    ),
    Guard(
        name="invitation: not by a program that may do a part",
        file="service/api/team.py",
        text="    if asker.scopes or asker.is_test:\n",
        gone="    if False:\n",
        tests=(f"{_INVITATIONS}::test_a_program_that_may_do_a_part_lets_nobody_in",),
    ),
    Guard(
        name="invitation: withdrawn is withdrawn",
        file="service/teams.py",
        text='_IS_OPEN = "i.used_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > "',
        gone='_IS_OPEN = "i.used_at IS NULL AND i.expires_at > "',
        tests=(f"{_INVITATIONS}::test_a_link_that_was_used_withdrawn_or_is_too_old_lets_nobody_in",),
    ),
)
