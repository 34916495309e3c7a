import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.errors import ConfigError
from footage.processes.shards import Shard, missing_shards, parse_shard, shard_of_this_job


@given(st.integers(1, 40), st.integers(0, 200))
def test_every_piece_of_work_belongs_to_one_shard(count, position):
    takers = [index for index in range(count) if Shard(index, count).takes(position)]
    assert takers == [position % count]
    assert missing_shards(count, [position]) == [Shard(takers[0], count)]


def test_shard_is_parsed_and_printed():
    assert parse_shard("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"


@pytest.mark.parametrize("text", ["8/8", "1", "-1/2", "1/0", "a/b", "1/2/3", " 1/2", "١/٢", ""])
def test_other_values_are_rejected_with_an_example(text):
    with pytest.raises(ConfigError) as caught:
        parse_shard(text)
    assert repr(text) in caught.value.message
    assert "--shard 0/8" in caught.value.hint


def slurm(index, count, first, last):
    names = ("ID", "COUNT", "MIN", "MAX")
    values = (index, count, first, last)
    return {f"SLURM_ARRAY_TASK_{n}": str(v) for n, v in zip(names, values, strict=True)}


def test_auto_reads_a_slurm_array_from_zero_or_one():
    assert parse_shard("auto", slurm(0, 4, 0, 3)) == Shard(0, 4)
    assert parse_shard("auto", slurm(4, 4, 1, 4)) == Shard(3, 4)


@pytest.mark.parametrize("values", [(3, 2, 3, 7), (3, 2, 3, 4), (4, 3, 0, 4)])
def test_auto_rejects_arrays_whose_indices_do_not_name_shards(values):
    with pytest.raises(ConfigError, match="all indices from 0 or 1"):
        shard_of_this_job(slurm(*values))


def test_auto_reads_an_indexed_job_of_kubernetes():
    variables = {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}
    assert shard_of_this_job(variables) == Shard(2, 5)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "needs a job array"),
        ({"JOB_COMPLETION_INDEX": "2"}, "JOB_COMPLETIONS must be a number"),
        ({"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "2"}, "JOB_COMPLETIONS is '2'"),
        ({"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "2"}, "got 'x'"),
    ],
)
def test_auto_outside_of_a_job_array_is_an_error(variables, message):
    with pytest.raises(ConfigError, match=message):
        shard_of_this_job(variables)
