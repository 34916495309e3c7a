"""What footage promises when things go wrong, and the tests that prove each promise."""

from typing import NamedTuple


class Promise(NamedTuple):
    """One promise; `tests` are names of test functions, `gap` is what they do not cover."""

    key: str
    text: str
    tests: tuple[str, ...] = ()
    gap: str = ""


TRAINING = (
    Promise(
        "A1",
        "A killed run loses at most the steps since its last checkpoint. Resumed on a CPU with a"
        " fixed number of threads, it has the same losses and weights to the last bit.",
    ),
    Promise("A2", "A checkpoint is complete or absent, whenever the process dies."),
    Promise(
        "A3",
        "A damaged checkpoint is found before anything is loaded from it, and the one before it"
        " is used, with a warning.",
    ),
    Promise(
        "A4",
        "A disk that is too small is reported before the first step. A save that fails leaves"
        " nothing half-written and never costs an earlier checkpoint.",
    ),
    Promise(
        "A5",
        "A read that fails is tried again for a bounded time before it is an error.",
        (
            "tests/test_retrying.py::test_read_is_repeated_with_longer_and_longer_pauses",
            "tests/test_retrying.py::test_no_attempt_begins_after_a_minute",
            "tests/test_retrying.py::test_disk_that_recovers_costs_a_pause",
            "tests/test_retrying.py::test_part_on_a_failing_disk_is_one_error_after_five_attempts",
        ),
    ),
    Promise("A6", "A signal to stop ends training after the current step, with a checkpoint."),
    Promise("A7", "Any number of processes trains on the same samples in the same order."),
    Promise("A8", "A dead or stuck process ends the whole job within a bounded time."),
    Promise("A9", "The first error is the one that is shown, from the process where it arose."),
    Promise("A10", "Memory does not grow with the number of videos that were read."),
    Promise("A11", "A shared memory that is too small is reported at the start."),
    Promise("A12", "Values that are not finite never reach the weights, on any process."),
)
INGEST = (
    Promise(
        "B1",
        "One bad file never fails an ingest: ok + partial + quarantined = seen, each with its"
        " reason.",
    ),
    Promise("B2", "A source that is broken as a whole ends with an error."),
    Promise("B3", "A decoder that crashes, hangs or takes too much costs one video."),
    Promise("B4", "Pictures, files and streams that are too large are refused before decoding."),
    Promise("B5", "Decoding opens no other file and no network connection."),
    Promise("B6", "Names of files are data: any name that Linux allows works."),
    Promise(
        "B7", "A killed ingest is resumed to the same bytes; running it twice changes nothing."
    ),
    Promise("B8", "Any number of workers writes the same bytes."),
    Promise("B9", "Frames before damage are kept, and the video is marked as partial."),
    Promise("B10", "A failure of the environment is never recorded as a fault of the video."),
)
SECURITY = (
    Promise("C1", "Decoders run in a sandbox; docs/sandbox.md lists what it stops."),
    Promise("C2", "No file can run code: nothing is unpickled, and options of models are listed."),
    Promise("C3", "What is fetched has a bounded size, and cannot lead to a local file."),
    Promise("C4", "Images are decoded with bounded time and memory, in few formats."),
    Promise("C5", "The report is one static page without scripts; names in it are text."),
    Promise("C6", "footage opens no listening port."),
    Promise("C7", "Secrets in URLs and in the environment are written nowhere."),
)
INTEGRITY = (
    Promise(
        "D1",
        "A flipped bit in a store is detected by whatever reads it.",
        (
            "tests/test_store_integrity.py::test_no_flipped_bit_of_many_changes_what_is_read",
            "tests/test_store_integrity.py::test_verify_finds_every_flipped_bit_and_names_a_damaged_video",
            "tests/verbs/test_ingest_output.py::test_no_flipped_bit_in_finished_work_goes_unnoticed",
        ),
    ),
    Promise(
        "D2", "A flipped bit in a run, an export or a result is detected by whatever reads it."
    ),
    Promise("D3", "A malformed document ends in one error, never in a traceback or wrong value."),
    Promise("D4", "A full disk is one error with exit code 74, and nothing is left half-written."),
    Promise("D5", "Two processes never write the same output."),
    Promise("D6", "Results, names and errors are safe to print; streams may be closed or full."),
)
SECTIONS = {
    "Training": TRAINING,
    "Ingest": INGEST,
    "Security": SECURITY,
    "Integrity and output": INTEGRITY,
}
