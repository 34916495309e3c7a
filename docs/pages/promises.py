"""The guarantees that footage gives when something fails, and the tests that check each one."""

from typing import NamedTuple


class Promise(NamedTuple):
    """One guarantee.

    `tests` lists the functions that check it, `gap` what they do not cover.
    """

    key: str
    text: str
    tests: tuple[str, ...] = ()
    gap: str = ""


TRAINING = (
    Promise(
        "A1",
        "A killed run loses at most the steps since its last checkpoint. Resumed on a CPU "
        "with a fixed number of threads, it has bit-identical losses and weights.",
        (
            "tests/commands/test_train.py::test_sigkill_at_random_moments_changes_nothing_to_the_last_bit",
            "tests/commands/test_train.py::test_many_kills_at_any_moment_lose_and_repeat_no_line",
        ),
    ),
    Promise(
        "A2",
        "A checkpoint is complete or absent, no matter when the process dies.",
        (
            "tests/runs/test_checkpoint.py::test_a_kill_at_every_file_operation_of_a_save_leaves_the_old_or_the_new_checkpoint",
            "tests/runs/test_checkpoint.py::test_two_hundred_kills_while_saving_never_cost_a_finished_checkpoint",
        ),
    ),
    Promise(
        "A3",
        "A damaged checkpoint is detected before anything is loaded from it, and the previous "
        "one is used, with a warning.",
        (
            "tests/runs/test_checkpoint.py::test_every_flipped_bit_falls_back_to_the_checkpoint_before",
            "tests/runs/test_checkpoint.py::test_a_file_that_is_short_absent_or_another_falls_back",
            "tests/runs/test_checkpoint.py::test_two_tensor_files_that_were_swapped_fall_back",
            "tests/commands/test_train_stops.py::test_when_the_newest_checkpoint_is_damaged_the_run_resumes_from_the_one_before",
        ),
    ),
    Promise(
        "A4",
        "A disk that is too small is reported before the first step. A failed save leaves no "
        "partial file and never destroys an earlier checkpoint.",
        (
            "tests/commands/test_train_stops.py::test_checkpoints_that_do_not_fit_are_refused_at_the_start",
            "tests/commands/test_train_stops.py::test_a_disk_that_is_full_for_a_while_costs_nothing",
            "tests/commands/test_train_stops.py::test_after_three_failed_checkpoints_training_stops_and_can_be_resumed",
        ),
    ),
    Promise(
        "A5",
        "A failed read is retried for a bounded time before it becomes an error.",
        (
            "tests/runs/test_checkpoint.py::test_read_errors_of_the_device_are_retried_and_then_fall_back",
            "tests/io/test_retry.py::test_disk_that_recovers_costs_a_pause",
            "tests/io/test_retry.py::test_disk_that_does_not_recover_is_one_error",
            "tests/io/test_retry.py::test_part_on_a_failing_disk_is_one_error_after_five_attempts",
            "tests/io/test_retry.py::test_no_attempt_begins_after_a_minute",
            "tests/io/test_retry.py::test_read_is_repeated_with_longer_and_longer_pauses",
        ),
    ),
    Promise(
        "A6",
        "A stop signal ends training after the current step, with a checkpoint.",
        (
            "tests/commands/test_train_stops.py::test_a_signal_saves_and_the_same_command_resumes",
            "tests/commands/test_train_stops.py::test_the_command_line_exits_with_the_code_of_the_signal",
            "tests/commands/test_train_processes.py::test_a_signal_to_one_process_saves_and_ends_all_alike",
        ),
    ),
    Promise(
        "A7",
        "Any number of processes trains on the same samples in the same order.",
        (
            "tests/training/test_elastic.py::test_the_stream_of_samples_does_not_depend_on_the_number_of_processes",
            "tests/training/test_elastic.py::test_changing_the_number_of_processes_in_the_middle_changes_no_sample",
            "tests/training/test_elastic.py::test_every_sample_comes_once_per_epoch",
            "tests/commands/test_train_processes.py::test_any_number_of_processes_has_the_same_losses",
            "tests/commands/test_train_processes.py::test_a_run_continues_with_another_number_of_processes",
        ),
        "batch norm uses per-process statistics",
    ),
    Promise(
        "A8",
        "A dead or stuck process ends the whole job within a bounded time.",
        (
            "tests/commands/test_train_processes.py::test_a_process_that_is_killed_ends_the_job_within_seconds",
            "tests/commands/test_train_processes.py::test_a_process_that_is_stopped_ends_the_job_in_the_configured_time",
            "tests/commands/test_train_processes.py::test_everything_ends_with_a_launcher_that_is_killed",
        ),
        "multiple machines and GPUs were not tested",
    ),
    Promise(
        "A9",
        "The first error is the one that is shown, from the process that raised it.",
        (
            "tests/commands/test_train_processes.py::test_the_first_error_is_the_root_cause_from_the_process_where_it_arose",
        ),
    ),
    Promise(
        "A10",
        "Memory does not grow with the number of videos read.",
        (
            "tests/attacks/test_memory_growth.py::test_memory_does_not_grow_with_the_number_of_videos",
        ),
    ),
    Promise(
        "A11",
        "Training works with any size of /dev/shm; batches that do not fit into memory are "
        "refused at the start.",
        (
            "tests/training/test_loader_workers.py::test_batches_larger_than_dev_shm_arrive_whole",
            "tests/training/test_loader.py::test_batches_that_do_not_fit_into_memory_are_refused_at_once",
        ),
    ),
    Promise(
        "A12",
        "Non-finite values never reach the weights, in any process.",
        (
            "tests/commands/test_train_stops.py::test_nan_stops_the_run_with_the_weights_of_the_step_before",
            "tests/commands/test_train_stops.py::test_running_averages_that_a_bad_batch_spoilt_are_restored",
            "tests/commands/test_train_stops.py::test_weights_that_overflow_are_never_saved",
            "tests/commands/test_train_processes.py::test_nan_in_one_process_stops_all_with_the_weights_of_the_step_before",
        ),
    ),
)
INGEST = (
    Promise(
        "B1",
        "One bad file never fails an ingest: ok + partial + quarantined = seen, each failure "
        "with its reason.",
        (
            "tests/commands/test_ingest_faults.py::test_every_broken_file_is_accounted_for_with_its_reason",
            "tests/attacks/test_mutants.py::test_every_mutant_is_accounted_for",
        ),
    ),
    Promise(
        "B2",
        "A source with too many broken files ends with an error.",
        (
            "tests/commands/test_ingest_faults.py::test_too_many_rejected_files_end_in_an_error_but_the_rest_is_stored",
        ),
    ),
    Promise(
        "B3",
        "A decoder that crashes, hangs or exceeds its limits affects only one video.",
        (
            "tests/commands/test_ingest_faults.py::test_decoder_that_goes_wrong_costs_one_video",
            "tests/video/test_sandbox.py::test_whatever_happens_to_the_child_has_a_reason",
            "tests/video/test_hostile_decoder.py::test_hostile_messages_are_refused_where_they_arrive",
            "tests/video/test_hostile_decoder.py::test_hostile_decoders_cost_their_own_videos_only",
            "tests/video/test_hostile_decoder.py::test_mutated_messages_are_refused_or_lead_to_a_valid_record",
        ),
    ),
    Promise(
        "B4",
        "Pictures, files and streams that are too large are refused before decoding; time and "
        "memory are bounded by the size of the file.",
        (
            "tests/video/test_decode.py::test_picture_that_is_too_large_is_refused_before_it_is_decoded",
            "tests/commands/test_ingest_faults.py::test_fetching_stops_at_the_size_limit",
            "tests/ingestion/test_limits.py::test_bomb_is_stopped_at_the_deadline_of_its_size",
            "tests/ingestion/test_limits.py::test_memory_limit_holds_for_large_pictures",
        ),
    ),
    Promise(
        "B5",
        "Decoding opens no other file and no network connection.",
        (
            "tests/video/test_decode.py::test_file_that_points_at_another_is_refused",
            "tests/sandbox/test_layers.py::test_every_attack_is_refused_by_all_layers_together",
        ),
    ),
    Promise(
        "B6",
        "File names are treated as data: any name that Linux allows works.",
        (
            "tests/video/test_decode.py::test_names_of_files_are_only_names",
            "tests/ingestion/test_sources.py::test_names_that_are_not_utf8_are_found_behind_a_file_url",
            "tests/commands/test_embed.py::test_files_are_found_as_by_every_other_command",
        ),
    ),
    Promise(
        "B7",
        "A resumed ingest produces the same bytes; running it twice changes nothing.",
        (
            "tests/commands/test_ingest_faults.py::test_killed_ingest_is_resumed_to_the_same_bytes",
            "tests/commands/test_ingest_faults.py::test_ingest_killed_at_random_moments_ends_in_the_same_bytes",
            "tests/commands/test_ingest_faults.py::test_kill_while_the_manifest_is_put_in_place_loses_nothing",
            "tests/commands/test_ingest.py::test_ingesting_twice_changes_nothing",
        ),
    ),
    Promise(
        "B8",
        "The output is byte-identical for any number of workers.",
        ("tests/commands/test_ingest.py::test_any_number_of_workers_gives_the_same_bytes",),
    ),
    Promise(
        "B9",
        "Frames before damage are kept, and the video is marked as partial.",
        (
            "tests/video/test_decode.py::test_frames_behind_damage_are_found",
            "tests/commands/test_embed.py::test_a_video_with_damage_keeps_its_frames_and_says_what_is_missing",
        ),
    ),
    Promise(
        "B10",
        "A failure of the machine is never recorded as a fault of the video.",
        (
            "tests/commands/test_ingest_machine.py::test_ingest_under_a_limit_quarantines_nothing_and_the_next_one_completes_it",
            "tests/commands/test_ingest_machine.py::test_decoder_that_is_killed_from_outside_once_is_started_again",
            "tests/commands/test_ingest_machine.py::test_ingest_stops_after_several_failures_in_a_row_and_keeps_what_is_finished",
            "tests/commands/test_ingest_machine.py::test_lack_of_descriptors_or_memory_while_hashing_is_not_the_fault_of_the_file",
            "tests/commands/test_ingest_machine.py::test_module_that_a_decoder_lacks_is_not_the_fault_of_the_video",
            "tests/ingestion/test_sources.py::test_a_full_disk_while_fetching_is_not_the_fault_of_the_video",
        ),
    ),
)
SECURITY = (
    Promise(
        "C1",
        "Decoders run in a sandbox; docs/background/sandbox.md lists what it stops.",
        (
            "tests/sandbox/test_layers.py::test_each_layer_alone_stops_what_the_table_says",
            "tests/sandbox/test_layers.py::test_every_attack_is_refused_by_all_layers_together",
            "tests/sandbox/test_layers.py::test_attack_works_without_any_layer",
            "tests/sandbox/test_seccomp.py::test_no_other_system_call_reaches_the_kernel",
        ),
    ),
    Promise(
        "C2",
        "No file can run code: nothing is unpickled, and only listed model options are allowed.",
        (
            "tests/models/test_hostile_models.py::test_no_command_lets_a_model_file_pass_options_that_open_files",
            "tests/models/test_hostile_models.py::test_a_run_json_that_is_trained_from_cannot_pass_them_either",
            "tests/models/test_hostile_models.py::test_the_command_line_cannot_pass_them_either",
            "tests/runs/test_checkpoint.py::test_a_checkpoint_contains_no_pickle",
        ),
    ),
    Promise(
        "C3",
        "Downloads have a bounded size and cannot lead to a local file.",
        (
            "tests/ingestion/test_sources.py::test_an_endless_answer_is_cut_at_the_largest_size",
            "tests/ingestion/test_sources.py::test_a_redirection_to_a_local_file_is_not_followed",
            "tests/commands/test_demo.py::test_a_wheel_that_is_not_the_known_file_is_not_opened",
            "tests/commands/test_demo.py::test_a_clip_that_claims_to_be_huge_is_refused",
        ),
    ),
    Promise(
        "C4",
        "Images are decoded with bounded time and memory, in few formats.",
        (
            "tests/images/test_limits.py::test_a_small_file_that_would_cost_much_is_refused_from_its_header",
            "tests/images/test_limits.py::test_a_decode_takes_the_memory_that_is_known_from_the_header",
            "tests/images/test_limits.py::test_the_largest_image_that_is_let_pass_takes_no_more_than_the_limit",
        ),
    ),
    Promise(
        "C5",
        "The report is one static page without scripts; names in it are escaped.",
        (
            "tests/commands/test_report.py::test_the_page_needs_nothing_from_outside_and_runs_nothing",
            "tests/commands/test_report.py::test_a_hostile_file_name_is_shown_and_does_nothing",
        ),
    ),
    Promise(
        "C6",
        "No footage command opens a listening port.",
        (
            "tests/e2e/test_ports.py::test_the_watch_sees_ports_of_children",
            "tests/e2e/test_ports.py::test_no_command_opens_a_port",
        ),
        "several training processes connect to each other: torchrun listens",
    ),
    Promise(
        "C7",
        "Secrets in URLs and in the environment are never written.",
        (
            "tests/e2e/test_secrets.py::test_no_secret_of_a_url_or_of_the_environment_is_written_or_printed",
        ),
    ),
)
INTEGRITY = (
    Promise(
        "D1",
        "A flipped bit in a store is detected by whatever reads it.",
        (
            "tests/store/test_integrity.py::test_flipped_bit_is_an_error_or_changes_nothing",
            "tests/store/test_integrity.py::test_no_flipped_bit_of_many_changes_what_is_read",
            "tests/store/test_integrity.py::test_verify_finds_every_flipped_bit_and_names_a_damaged_video",
            "tests/commands/test_ingest_output.py::test_no_flipped_bit_in_a_record_goes_unnoticed",
        ),
    ),
    Promise(
        "D2",
        "A flipped bit in a run, an export or a result is detected by whatever reads it.",
        (
            "tests/io/test_documents.py::test_no_flipped_bit_changes_a_value_unnoticed",
            "tests/io/test_documents.py::test_no_flipped_bit_in_a_tensor_file_goes_unnoticed",
            "tests/evaluation/test_result_files.py::test_no_flipped_bit_in_any_result_file_goes_unnoticed",
        ),
    ),
    Promise(
        "D3",
        "A malformed document ends in one error, never in a traceback or a wrong value.",
        (
            "tests/io/test_documents.py::test_every_mutation_is_one_error_with_a_hint",
            "tests/store/test_integrity.py::test_no_mutation_of_the_description_is_accepted",
            "tests/runs/test_checkpoint.py::test_every_malformed_manifest_falls_back",
            "tests/runs/test_checkpoint.py::test_every_malformed_state_falls_back",
            "tests/evaluation/test_result_files.py::test_every_mutation_is_one_error_with_a_hint",
            "tests/evaluation/test_result_files.py::test_every_mutation_of_a_profile_is_one_error_with_a_hint",
        ),
    ),
    Promise(
        "D4",
        "A full disk is one error with exit code 74, and leaves no partial file.",
        (
            "tests/attacks/test_full_disk.py::test_a_small_disk_is_one_error_and_leaves_nothing_half_written",
            "tests/io/test_files.py::test_a_file_size_limit_is_one_clear_error_and_leaves_nothing",
            "tests/commands/test_ingest_output.py::test_disk_that_fills_up_is_one_error_and_finished_videos_are_kept",
        ),
    ),
    Promise(
        "D5",
        "Two processes never write the same output.",
        (
            "tests/io/test_files.py::test_a_lock_is_held_by_one_of_many_at_a_time",
            "tests/commands/test_ingest.py::test_two_ingests_do_not_write_to_one_store",
            "tests/commands/test_train_stops.py::test_a_second_training_in_the_same_folder_is_refused_and_names_the_first",
            "tests/commands/test_embed.py::test_two_processes_do_not_write_one_table",
        ),
    ),
    Promise(
        "D6",
        "Results, names and errors are safe to print; streams may be closed or full.",
        (
            "tests/cli/test_terminal.py::test_a_hostile_name_reaches_the_terminal_as_text",
            "tests/cli/test_terminal.py::test_streams_that_are_closed_or_full_end_it_like_any_tool",
            "tests/cli/test_parsing.py::test_a_wrong_command_line_is_one_error_and_one_hint",
        ),
    ),
)
SECTIONS = {
    "Training": TRAINING,
    "Ingest": INGEST,
    "Security": SECURITY,
    "Integrity and output": INTEGRITY,
}
