"""The plan of an ingest, compared with a simple one that looks at one source after the other."""

import hashlib
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from footage.ingestion import duplicates, known_videos, planning
from footage.ingestion.batches import batches
from footage.ingestion.source_table import Source, SourceTable
from footage.ingestion.sources import find
from footage.processes.shards import Shard
from footage.store.records import STAMPS, VideoRecord
from footage.store.tables import VIDEOS_SCHEMA


def simple_batches(sizes, most_files, most_bytes):
    """Yield the places of the files of each batch."""
    batch, num_bytes = [], 0
    for place, size in enumerate(sizes):
        if size >= most_bytes:
            yield [place]
            continue
        batch.append(place)
        num_bytes += size
        if len(batch) == most_files or num_bytes >= most_bytes:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


@pytest.mark.parametrize("seed", range(50))
def test_batches_are_those_of_the_rule_applied_to_one_file_after_the_other(seed):
    random = np.random.default_rng(seed)
    sizes = random.choice([0, 1, 7, 30, 99, 100, 400], random.integers(0, 200))
    found = batches(sizes, 5, 100)
    got = [found.batch(number).tolist() for number in range(len(found.starts) - 1)]
    assert got == list(simple_batches(sizes.tolist(), 5, 100))
    wanted = random.random(len(sizes)) < 0.5
    left, numbers = found.only(wanted)
    assert [left.batch(number).tolist() for number in range(len(numbers))] == [
        kept for batch in got if (kept := [place for place in batch if wanted[place]])
    ]
    assert found.sums(sizes).tolist() == [sum(sizes[batch]) for batch in got]
    assert left.take(np.arange(0, len(numbers), 2)).rows.tolist() == [
        place for number in range(0, len(numbers), 2) for place in left.batch(number).tolist()
    ]


class Case:
    """Random sources with little variety, so that everything that can coincide does."""

    def __init__(self, seed, folder):
        self.random = np.random.default_rng(seed)
        self.folder = folder
        names = sorted(f"{name}.mp4" for name in self.random.permutation(150)[:100])
        self.sources = [self.source(name) for name in names]

    def source(self, name):
        content = bytes([self.random.integers(3)]) * self.random.choice([0, 100, 101])
        path = self.folder / name
        path.write_bytes(content)
        url = self.random.choice(["", "file:///"])
        stamp = self.random.choice(["", "one", "two"])
        return Source(name, str(path), str(url), len(content), str(stamp))

    def videos(self):
        """Rows of videos and of stamps: ids, stamps, sizes, statuses."""
        rows, stamps = {}, {}
        for number in sorted(self.random.permutation(170)[:80]):
            for _ in range(self.random.integers(1, 3)):
                content = bytes([self.random.integers(3)]) * self.random.choice([100, 101])
                digest = hashlib.sha256(content).hexdigest()
                video = f"{number}.mp4#{digest[:16]}"
                status = str(self.random.choice(["ok", "quarantined"]))
                is_read = self.random.random() < 0.9
                rows[video] = VideoRecord(
                    video=video, path=video, content_hash=digest * is_read,
                    num_bytes=len(content), status=status,
                )  # fmt: skip
                if self.random.random() < 0.8:
                    stamp = str(self.random.choice(["one", "two"]))
                    stamps[f"{number}.mp4"] = {"stamp": stamp, "video": video}
        records = sorted(rows.values(), key=lambda record: record.video)
        columns = {n: [getattr(one, n) for one in records] for n in VIDEOS_SCHEMA.names}
        named = [{"name": name} | stamps[name] for name in sorted(stamps)]
        return (
            pa.table(columns, schema=VIDEOS_SCHEMA),
            pa.Table.from_pylist(named, schema=STAMPS),
        )


def simple_known(videos, stamps, retry):
    stamp_of = {row["video"]: row["stamp"] for row in stamps.to_pylist()}
    known = defaultdict(list)
    for row in videos.to_pylist():
        if row["content_hash"] and not (retry and row["status"] == "quarantined"):
            name = row["video"].rsplit("#", 1)[0]
            known[name].append({**row, "stamp": stamp_of.get(row["video"], "")})
    return known


def simple_unchanged(source, known):
    for one in known:
        if source.stamp and one["stamp"]:
            if source.stamp == one["stamp"]:
                return one["video"]
        elif source.url and one["num_bytes"] == source.num_bytes:
            return one["video"]
    return ""


def simple_copies(sources, stored):
    names = {source.name for source in sources}
    originals = {
        row["content_hash"]: row["video"]
        for name in reversed(list(stored))
        for row in reversed(stored[name])
        if name not in names
    }
    found = {}
    for source in sources:
        with open(source.location, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        if not source.num_bytes:
            continue
        if digest in originals:
            found[source.name] = originals[digest]
        originals.setdefault(digest, f"{source.name}#{digest[:16]}")
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_that_of_looking_at_one_source_after_the_other(seed, tmp_path):
    case = Case(seed, tmp_path)
    (stored, finished), retry = (case.videos(), case.videos()), seed % 2 == 0
    plan = planning.plan(
        SourceTable.of(case.sources),
        known_videos.known_videos(*stored, retry_quarantined=retry),
        known_videos.joined([known_videos.known_videos(*finished, retry_quarantined=False)]),
    )
    old, new = simple_known(*stored, retry), simple_known(*finished, False)
    unchanged = [simple_unchanged(one, old[one.name]) for one in case.sources]
    candidates = [one for one, video in zip(case.sources, unchanged, strict=True) if not video]
    copies = simple_copies(candidates, {name: rows for name, rows in old.items() if rows})
    expected, done = {}, [video for video in unchanged if video]
    sizes = [one.num_bytes for one in candidates]
    every = list(simple_batches(sizes, 4, planning.UNIT_BYTES))
    for position, places in enumerate(every):
        unit = []
        for source in (candidates[place] for place in places):
            if video := simple_unchanged(source, new[source.name]):
                done.append(video)
            else:
                ids = [one["video"] for one in old[source.name] + new[source.name]]
                unit.append((source, tuple(ids), copies.get(source.name, "")))
        if unit:
            expected[position] = unit
    assert plan.num_units == len(every)
    assert plan.positions.tolist() == list(expected)
    got = [[tuple(task) for task in unit] for unit in plan.tasks()]
    assert got == list(expected.values())
    assert sorted(plan.unchanged.to_pylist()) == sorted(done)
    assert len(copies) > 5 < len(done)
    first, second = (plan.of_shard(Shard(index, 2)) for index in (0, 1))
    assert [*first.positions, *second.positions] == sorted(expected, key=lambda one: one % 2)
    assert len(first.units.rows) + len(second.units.rows) == sum(map(len, expected.values()))


def test_files_of_different_sizes_are_not_opened(tmp_path, monkeypatch):
    table = SourceTable.of(Source(f"{size}.mp4", "absent", "", size) for size in range(1, 9))
    monkeypatch.setattr(duplicates, "opened", None)
    assert duplicates.duplicates(table, known_videos.SCHEMA.empty_table()) == {}


def test_a_table_of_sources_is_a_sequence_of_sources_with_any_location():
    sources = [Source(f"{n}", f"/caf\udce9/{n}", "", n, "x") for n in range(5)]
    table = SourceTable.of(sources)
    assert (len(table), list(table), table[-2]) == (5, sources, sources[3])
    assert list(table[1:3]) == sources[1:3]
    assert table[1:3] == SourceTable.of(sources[1:3]) != table
    assert table.total_bytes == 10
    with pytest.raises(IndexError):
        table[5]


def test_names_below_several_paths_are_unique_and_each_file_is_listed_once(tmp_path):
    for name in ("x/a.mp4", "y/a.mp4", "y/z/a.mp4", "y/only.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    roots = [str(tmp_path / one) for one in ("x", "y", "y/z", "x/a.mp4")]
    found = {source.name: source.location for source in find(roots)}
    full = str(tmp_path).lstrip("/")
    assert found == {
        "a.mp4": f"{tmp_path}/x/a.mp4",
        f"{full}/y/a.mp4": f"{tmp_path}/y/a.mp4",
        "z/a.mp4": f"{tmp_path}/y/z/a.mp4",
        "only.mp4": f"{tmp_path}/y/only.mp4",
    }


def test_a_name_that_is_the_full_path_of_an_earlier_file_is_replaced_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    full = str(tmp_path).lstrip("/")
    names = ["x/a.mp4", "y/a.mp4", f"w/{full}/y/a.mp4"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {source.name for source in find(["x", "y", "w"])} == {
        "a.mp4", f"{full}/y/a.mp4", f"{full}/w/{full}/y/a.mp4",
    }  # fmt: skip
