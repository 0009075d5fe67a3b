"""What can go wrong, each with the tests that prove what happens then.

A case is struck from this table only with the promise that it belongs to. A test that is renamed
is renamed here too; one that is deleted leaves its case to be proven by another.
"""

import ast
from functools import cache

import pytest

from tests.meta.sources import sources

CASES: dict[str, dict[str, tuple[str, ...]]] = {
    "crash": {
        "before the commit of what is accepted": (
            "proof/test_failpoints.py::test_a_death_at_any_commit_loses_nothing",
            "proof/test_failpoints.py::test_the_points_that_the_promise_names_are_among_them",
        ),
        "after the commit and before the 202": (
            "proof/test_failpoints.py::test_a_death_at_any_commit_loses_nothing",
            "store/test_durability.py::test_every_id_acknowledged_before_kill_9_is_there",
        ),
        "right after the 202": (
            "proof/test_failpoints.py::test_a_death_right_after_the_202_loses_nothing",
            "e2e/test_dev.py::test_killed_amid_two_hundred_posts_every_202_has_its_mail",
        ),
        "after the claim and before the connection": (
            "proof/test_failpoints.py::test_a_death_at_any_commit_loses_nothing",
            "proof/test_failpoints.py::test_a_death_on_a_mails_way_out_loses_nothing",
        ),
        "between the relay's 250 and the commit of it": (
            "proof/test_failpoints.py::test_a_death_at_any_commit_loses_nothing",
            "proof/test_failpoints.py::test_a_death_on_a_mails_way_out_loses_nothing",
        ),
        "in a batch of 50 of which 20 are sent": (
            "proof/test_crash_cases.py::test_in_a_batch_of_50_with_20_sent_the_rest_follows",
        ),
        "one of two processes on one SQLite file": (
            "proof/test_crash_cases.py::test_two_processes_on_one_database_lose_nothing_when_one_dies",
            "e2e/test_scale.py::test_two_services_on_one_sqlite_file_send_each_mail_once",
        ),
        "a worker that hangs": (
            "proof/test_crash_cases.py::test_the_mail_of_a_worker_that_hangs_is_sent_by_another",
            "dispatch/test_dispatcher.py::test_a_job_that_hangs_is_cut_and_its_seat_is_free",
        ),
        "a worker that is frozen beyond its lease and thaws": (
            "proof/test_frozen.py::test_a_mail_frozen_in_its_dot_is_taken_over_and_its_copy_flagged",
            "proof/test_frozen.py::test_a_frozen_sender_whose_lease_has_lapsed_sends_no_dot",
        ),
        "a message that kills whoever sends it": (
            "proof/test_crash_cases.py::test_a_poison_message_is_held_and_the_others_leave",
            "dispatch/test_mail_lane.py::test_five_claims_without_outcome_set_it_aside",
        ),
        "a lease shorter than a slow final dot": (
            "proof/test_crash_cases.py::test_a_lease_shorter_than_a_slow_dot_is_renewed_and_nobody_takes_over",
        ),
        "kills at random for as long as one likes": (
            "proof/test_soak.py::test_kills_at_random_lose_nothing_on_sqlite",
            "proof/test_soak.py::test_kills_and_crashes_lose_nothing_with_four_processes_on_postgresql",
        ),
        "anything of this in any order": (
            "model/test_delivery.py::test_whatever_happens_the_promises_stand",
        ),
        "an answer before the disk has it": (
            "store/test_durability.py::test_a_sync_stands_between_the_write_and_its_acknowledgement",
        ),
    },
    "smtp": {
        "a closed port": (
            "smtp/test_matrix.py::test_a_closed_port_is_refused_and_burns_no_attempt",
        ),
        "a black hole": (
            "smtp/test_hostile.py::test_a_black_hole_is_given_up_by_the_connect_limit_and_another_relay_takes_over",
        ),
        "a banner of 554, 421 or nonsense": ("smtp/test_matrix.py::test_matrix",),
        "STARTTLS missing or stripped": (
            "smtp/test_tls.py::test_a_stripped_starttls_is_not_answered_in_the_clear",
        ),
        "something injected before STARTTLS": (
            "smtp/test_tls.py::test_starttls_that_fails_ends_the_connection",
            "smtp/test_hostile.py::test_what_is_injected_before_starttls_is_never_read_as_encrypted",
        ),
        "a certificate that is expired, for another name or self-signed": (
            "smtp/test_tls.py::test_a_bad_certificate_pauses_the_relay_and_keeps_the_mail",
        ),
        "535 at AUTH": (
            "smtp/test_auth.py::test_a_wrong_password_pauses_the_relay_after_one_try",
            "smtp/test_resting.py::test_an_expired_password_bounces_nothing",
        ),
        "421, 451 and 550 at MAIL": (
            "smtp/test_matrix.py::test_matrix",
            "core/test_verdict.py::test_verdict_follows_the_table",
            "smtp/test_resting.py::test_several_mails_refused_in_a_row_pause_the_relay",
        ),
        "250, 450 and 550 at RCPT mixed": (
            "smtp/test_cases.py::test_recipients_that_are_taken_put_off_and_refused_are_told_apart",
            "dispatch/test_mail_lane.py::test_each_recipient_has_his_own_fate",
        ),
        "every recipient refused": (
            "smtp/test_cases.py::test_a_list_of_which_every_recipient_is_refused_leaves_the_relay_up",
        ),
        "greylisting": (
            "smtp/test_cases.py::test_a_greylisted_recipient_is_taken_when_he_comes_back",
            "core/test_backoff.py::test_next_due_gives_a_greylister_five_minutes",
        ),
        "451 and 554 at DATA": ("smtp/test_matrix.py::test_matrix",),
        "a drop before the 354, in the body and after the dot": (
            "smtp/test_matrix.py::test_matrix",
            "smtp/test_matrix.py::test_a_break_in_a_long_body_is_a_plain_retry",
            "dispatch/test_mail_lane.py::test_a_drop_after_the_dot_is_ambiguous_and_retried_byte_for_byte",
        ),
        "a dot that is answered after nine minutes": (
            "smtp/test_cases.py::test_a_slow_relay_has_the_time_that_the_standard_gives_it",
        ),
        "a late reply and the next command": (
            "smtp/test_pool.py::test_a_late_reply_never_meets_the_next_mail",
            "smtp/test_chaining.py::test_a_late_answer_to_a_dot_never_meets_the_mail_behind_it",
        ),
        "one byte a second": (
            "smtp/test_hostile.py::test_other_mails_go_on_while_one_connection_is_held_up",
        ),
        "lines without end": (
            "smtp/test_hostile.py::test_other_mails_go_on_while_one_connection_is_held_up",
            "smtp/test_hostile.py::test_an_ehlo_reply_of_a_thousand_lines_is_read_or_refused_in_bounded_memory",
        ),
        "an idle connection that was closed between mails": (
            "smtp/test_pool.py::test_a_connection_that_the_relay_closed_between_mails_is_not_used",
            "smtp/test_pool.py::test_a_connection_that_died_at_mail_costs_nothing",
        ),
        "a SIZE that is too small": (
            "smtp/test_bytes.py::test_size_is_declared_without_dots_and_checked_before_mail",
        ),
        "leading dots, lone CR and LF, and 998 columns and more": (
            "smtp/test_bytes.py::test_content_arrives_byte_equal",
            "smtp/test_bytes.py::test_a_dot_that_lax_relays_take_for_the_end_is_not_sent",
        ),
        "the first relay down, the second up, the first back": (
            "smtp/test_order.py::test_the_second_relay_steps_in_at_once_and_the_first_comes_back",
        ),
    },
    "store": {
        "four workers and a thousand rows": (
            "store/test_queue.py::test_four_workers_claim_a_thousand_rows_each_once",
            "store/test_concurrency.py::test_four_claimers_at_once_take_each_row_once",
            "e2e/test_scale.py::test_four_workers_send_a_thousand_mails_once_each",
        ),
        "a write lock held for 3 s": (
            "store/test_lock_held.py::test_a_write_lock_held_for_three_seconds_makes_calls_late_and_no_more",
        ),
        "a write lock held for 30 s": (
            "store/test_lock_held.py::test_a_write_lock_held_for_thirty_seconds_refuses_calls_and_loses_none",
            "dispatch/test_mail_lane.py::test_an_outcome_is_kept_until_the_store_is_back",
        ),
        "PostgreSQL restarted during a POST": (
            "store/test_postgres_away.py::test_a_server_that_crashes_amid_writes_costs_nothing",
            "e2e/test_scale.py::test_a_database_outage_loses_nothing_and_needs_no_hand",
        ),
        "PostgreSQL restarted while outcomes are written": (
            "store/test_postgres_away.py::test_a_server_that_crashes_amid_outcomes_leaves_each_message_one_of_them",
            "e2e/test_scale.py::test_a_database_outage_loses_nothing_and_needs_no_hand",
        ),
        "a pool of connections that is exhausted": (
            "store/test_readers.py::test_readers_that_are_all_busy_leave_writers_their_connections",
        ),
        "50 posts at once with one key": (
            "store/test_queue.py::test_fifty_parallel_posts_with_one_key_make_one_notification",
            "api/test_notifications.py::test_fifty_at_once_under_one_key_are_one",
        ),
        "a claim beside hundreds of thousands of finished and scheduled rows": (
            "store/test_plans.py::test_a_claim_touches_the_due_range_of_its_index_only",
        ),
        "a commit of which nobody knows whether it took effect": (
            "store/test_doubt.py::test_a_mail_whose_commit_broke_off_is_there_once",
            "store/test_doubt.py::test_an_outcome_whose_commit_broke_off_is_known_as_written",
        ),
    },
    "overload": {
        "ten times its capacity": (
            "overload/test_flood.py::test_ten_times_its_capacity_is_refused_and_every_202_is_sent",
        ),
        "big bodies at once": (
            "overload/test_flood.py::test_big_bodies_at_once_are_bounded_together",
        ),
        "callers that send a byte a second": (
            "overload/test_flood.py::test_callers_that_send_a_byte_a_second_keep_nobody_out",
        ),
        "a relay down for an hour with 100,000 mails queued, and back": (
            "overload/test_backlog.py::test_a_relay_down_for_an_hour_costs_a_hundred_thousand_mails_no_attempt",
        ),
        "a confirmation code behind 100,000 bulk mails": (
            "overload/test_backlog.py::test_a_confirmation_code_behind_a_hundred_thousand_bulk_mails_is_there_within_5_s",
            "dispatch/test_urgent.py::test_a_confirmation_code_behind_a_hundred_thousand_bulk_mails_leaves_within_5_s",
        ),
    },
    "input": {
        "every control character in every field that becomes a header": (
            "api/test_bad_input.py::test_what_must_not_reach_a_header",
            "core/test_text.py::test_every_control_character_is_refused_in_a_header",
            "compose/test_headers.py::test_an_encoded_word_is_refused_wherever_it_could_become_a_header",
        ),
        "header names with line breaks, Bcc and From": (
            "api/test_bad_input.py::test_headers_that_cannot_be_set",
            "compose/test_headers.py::test_a_header_that_is_not_on_the_list_is_refused",
        ),
        "addresses that are odd in all the ways that the standards allow": (
            "core/test_address.py::test_a_sound_address_is_normalised",
            "core/test_address.py::test_an_unsound_address_is_refused_with_its_code",
            "api/test_bad_input.py::test_addresses_that_are_none",
            "smtp/test_bytes.py::test_an_odd_but_lawful_address_is_sent",
        ),
        "one byte more than a body may have, also in chunks": (
            "api/test_limits.py::test_the_announced_size_is_bounded_to_the_byte",
            "api/test_limits.py::test_the_size_of_a_chunked_body_is_bounded_while_it_arrives",
            "api/test_bad_input.py::test_a_body_over_the_limit",
        ),
        "a body that is compressed": ("api/test_bad_input.py::test_a_body_that_is_not_plain_json",),
        "nesting 100,000 deep, NaN, duplicate keys, a byte order mark": (
            "api/test_bad_input.py::test_what_is_no_json",
        ),
        "attachments that are called ../../x or turn the writing direction": (
            "compose/test_attachments.py::test_an_unfit_file_is_refused",
        ),
        "templates with filters that do not exist": (
            "compose/test_broken_templates.py::test_a_broken_template_stops_the_start_and_says_where",
        ),
    },
    "operations": {
        "a full disk at intake and while outcomes are written": (
            "store/test_full_disk.py::test_a_file_that_may_not_grow_refuses_and_harms_nothing",
            "store/test_full_disk.py::test_a_disk_that_is_full_refuses_and_harms_nothing",
        ),
        "a folder that may only be read": (
            "store/test_read_only.py::test_a_folder_that_may_only_be_read_is_named",
            "store/test_read_only.py::test_a_folder_that_cannot_be_made_is_named",
        ),
        "SIGTERM while idle": (
            "e2e/test_stop.py::test_an_idle_process_does_not_wait_for_its_grace",
        ),
        "SIGTERM during a dot": (
            "e2e/test_stop.py::test_a_mail_at_a_slow_dot_is_finished_and_recorded",
            "e2e/test_stop.py::test_a_mail_whose_dot_is_slower_than_the_grace_is_sent_again_and_flagged",
        ),
        "SIGTERM with a stream of events open": (
            "e2e/test_stop.py::test_an_open_event_stream_does_not_hold_it_up",
        ),
        "SIGTERM during a POST": (
            "e2e/test_stop.py::test_a_post_whose_body_comes_slowly_is_answered_and_kept",
            "e2e/test_stop.py::test_a_post_whose_body_never_ends_does_not_hold_it_up",
        ),
        "bad settings": (
            "settings/test_load.py::test_everything_wrong_is_said_at_once",
            "settings/test_smtp_url.py::test_a_url_that_cannot_be_meant_is_refused",
            "cli/test_config.py::test_check_says_what_would_keep_it_from_starting",
        ),
        "no internet": (
            "toolchain/test_real_start.py::test_without_a_network_one_sentence_then_with_one_a_start",
            "smtp/test_matrix.py::test_a_host_without_address_is_a_fault_of_the_relay",
            "compose/test_inlining.py::test_remote_and_local_stylesheets_are_never_fetched",
            "api/test_docs.py::test_the_page_loads_only_its_own_files",
        ),
        "no settings at all": (
            "e2e/test_dev.py::test_the_first_start_shows_a_sample_and_the_second_no_other",
            "e2e/test_roles.py::test_it_does_not_start_without_what_it_needs",
        ),
        "many machines, a database outage long": (
            "e2e/test_scale.py::test_a_database_outage_loses_nothing_and_needs_no_hand",
            "e2e/test_scale.py::test_a_rolling_restart_loses_no_accepted_mail",
        ),
    },
}
"""By list and case: `<file below tests>::<function>`."""

NOT_YET: dict[str, str] = {
    "attachments with bad base64 or of 26 MB": "the API takes no attachments yet",
}
"""Cases without a test, each with the reason. It is meant to be empty."""


@cache
def defined() -> frozenset[str]:
    """Every test function of this repository."""
    return frozenset(
        f"{source.name.removeprefix('tests/')}::{function.name}"
        for source in sources("tests")
        for function in source.tree.body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and function.name.startswith("test_")
    )


NAMED = [
    (f"{list_}: {case}", test)
    for list_, cases in CASES.items()
    for case, tests in cases.items()
    for test in tests
]


@pytest.mark.parametrize(("case", "test"), NAMED)
def test_a_case_is_proven_by_a_test_that_exists(case: str, test: str) -> None:
    assert test in defined(), f"{case} is proven by no such test"


def test_every_case_names_a_test() -> None:
    bare = [case for cases in CASES.values() for case, tests in cases.items() if not tests]
    assert bare == []


def test_what_is_proven_is_not_also_called_missing() -> None:
    proven = {case for cases in CASES.values() for case in cases}
    assert proven & set(NOT_YET) == set()


def test_a_name_that_no_test_has_would_be_found() -> None:
    assert "meta/test_cases.py::test_a_name_that_no_test_has" not in defined()
    assert "meta/test_cases.py::test_every_case_names_a_test" in defined()
