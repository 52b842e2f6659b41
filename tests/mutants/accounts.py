"""The guards of who gets in: tries, passwords, second factors, sign-ups, sessions."""

from tests.mutants.guard import Guard

_SIGN_INS = "tests/service/accounts/test_sign_ins.py"
_FACTORS = "tests/service/accounts/test_second_factors.py"
_SIGN_UPS = "tests/service/accounts/test_sign_ups.py"

ACCOUNTS = (
    Guard(
        name="tries: the next one waits",
        file="service/sign_in_tries.py",
        text='if row["count"] >= patience.free and left > timedelta():',
        gone='if row["count"] >= patience.free and left > timedelta(days=1):',
        tests=(f"{_SIGN_INS}::test_tries_wait_longer_and_longer_and_never_for_good",),
    ),
    Guard(
        name="tries: one at a time",
        file="service/sign_in_tries.py",
        text=" WHERE digest = $1 FOR UPDATE",
        gone=" WHERE digest = $1",
        tests=(f"{_SIGN_INS}::test_many_tries_at_once_are_no_way_around_the_wait",),
    ),
    Guard(
        name="password: compared where there is none",
        file="service/signing_in.py",
        text="if not await matches(password, kept, pepper=web.pepper):",
        gone="if kept is None or not await matches(password, kept, pepper=web.pepper):",
        tests=(f"{_SIGN_INS}::test_saying_no_takes_as_long_where_there_is_no_account",),
    ),
    Guard(
        name="password: a change ends the other sessions",
        file="service/passwords.py",
        text="return await end_all_sessions(conn, account_id=account.id, now=now, by=by, but=session)",
        gone="return 0",
        tests=(f"{_SIGN_INS}::test_a_change_needs_the_old_password_and_ends_the_other_sessions",),
    ),
    Guard(
        name="second factor: a code counts once",
        file="service/second_factors.py",
        text=" WHERE account_id = $1 AND last_step < $2",
        gone=" WHERE account_id = $1 AND $2::bigint > 0",
        tests=(f"{_FACTORS}::test_a_code_is_taken_once_also_where_it_comes_twice_at_once",),
    ),
    Guard(
        name="second factor: codes cannot be tried without end",
        file="service/second_factors.py",
        text='await count_try(conn, "code", account_id, pepper=web.pepper, now=now)',
        gone="assert now",
        tests=(f"{_FACTORS}::test_codes_cannot_be_guessed_by_trying",),
    ),
    Guard(
        name="second factor: the office waits for it",
        file="service/pages/visits.py",
        text="if owes_second_factor(visit.web, visit.session) and not",
        gone="if False and not",
        tests=(f"{_FACTORS}::test_where_operators_need_one_the_office_opens_with_it",),
    ),
    Guard(
        name="sign-up: the owner of an address that has an account is told, and nothing else happens",
        file="service/sign_ups.py",
        text="            await account_letters.tell_of_sign_up(conn, account, now=now)\n            return\n",
        gone="            await account_letters.tell_of_sign_up(conn, account, now=now)\n",
        tests=(f"{_SIGN_UPS}::test_who_types_anothers_address_learns_nothing_and_its_owner_is_told",),
    ),
    Guard(
        name="sign-up: closed is closed, whatever was sent before",
        file="service/sign_ups.py",
        text="    check_open(web.settings, found.role)\n",
        gone="",
        tests=(f"{_SIGN_UPS}::test_a_link_that_was_sent_before_makes_nothing_once_sign_up_is_closed",),
    ),
)
