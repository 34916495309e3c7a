"""`footage store verify`: what is damaged is listed, and repaired where that is possible."""

import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from footage import cli
from footage.commands.ingest import ingest
from footage.commands.store import require_sound, verify
from footage.errors import StoreError
from footage.store.description import DOCUMENT, content_hash
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.earlier_stores import as_version_1
from tests.support.ingesting import CONFIG, HERE, hashes

EARLIER_PART = "frames/part-00000.parquet"


def parts(store):
    return sorted((store / "frames").rglob("*.parquet"))


@pytest.fixture
def store(whole, tmp_path):
    return shutil.copytree(whole[1], tmp_path / "store")


def flip(path, place=None, content=None):
    data = bytearray(path.read_bytes())
    data[data.index(content) + len(content) // 2 if content else place] ^= 1
    path.write_bytes(data)


def damage_frame(path, row):
    """Flip a bit in a frame of a shot; return the shot's video."""
    opened = Store.open(path)
    part = path / opened.parts.name(opened.shots["part"][row].as_py())
    flip(part, content=opened.frames_of_shot(row)[1].jpeg)
    return opened.shots["video"][row].as_py()


def verify_from_the_command_line(capsys, *words):
    code = cli.main(["store", "verify", *map(str, words)])
    return code, *capsys.readouterr()


def test_sound_store_is_sound(store, capsys):
    before = hashes(store)
    code, out, err = verify_from_the_command_line(capsys, store)
    assert code == 0
    assert out.startswith("5 files, ")
    assert "0 damaged" in out
    assert "error" not in err
    assert hashes(store) == before


def test_damaged_frame_is_found_and_its_video_ingested_again(store, video_folder, capsys):
    before = hashes(store)
    video = damage_frame(store, 7)
    code, out, err = verify_from_the_command_line(capsys, store)
    assert code == 1
    assert out.splitlines()[0].startswith("damaged   frames/")
    assert out.splitlines()[1].strip() == video
    assert f"hint: run `footage store verify {store} --repair VIDEOS`" in err
    code, out, _ = verify_from_the_command_line(capsys, store, "--repair", video_folder)
    assert (code, hashes(store)) == (0, before)
    assert out.splitlines()[0].startswith("restored  frames/")
    assert verify_from_the_command_line(capsys, store)[0] == 0


def test_missing_part_is_reported_by_ingest_and_restored(store, video_folder):
    before = hashes(store)
    parts(store)[0].unlink()
    with pytest.raises(StoreError, match=r"part-.*\.parquet: it is missing") as error:
        ingest([str(video_folder)], store, CONFIG, HERE)
    assert error.value.hint.startswith(f"run `footage store verify {store} --repair VIDEOS`")
    report = verify(store, [str(video_folder)])
    assert (report.remaining, hashes(store)) == ([], before)


def test_videos_are_found_by_content_after_they_were_moved(store, video_folder, tmp_path):
    before = hashes(store)
    video = damage_frame(store, 0)
    (tmp_path / "elsewhere").mkdir()
    for number, path in enumerate(sorted(video_folder.rglob("*.mp4"))):
        shutil.copy(path, tmp_path / "elsewhere" / f"{number}.mp4")
    report = verify(store, [str(tmp_path / "elsewhere")])
    assert report.checked.damage[0].videos == [video]
    assert (report.remaining, hashes(store)) == ([], before)


def test_videos_that_are_not_found_are_listed_and_nothing_is_lost(store, tmp_path):
    video = damage_frame(store, 0)
    before = hashes(store)
    synthetic.encode(tmp_path / "other" / "video0.mp4", synthetic.scene(9, 1.0))
    report = verify(store, [str(tmp_path / "other")])
    assert f"{video}: the video was not found" in report.summary()
    with pytest.raises(StoreError, match="1 damaged file in the store") as error:
        require_sound(report)
    assert error.value.hint == "pass all files or folders that were ingested to --repair"
    assert hashes(store) == before


@pytest.mark.parametrize("name", ["store.json", "videos.arrow", "shots.arrow", "parts.arrow"])
@pytest.mark.parametrize("folder", ["manifests/000001/", "copies/"])
@pytest.mark.parametrize("is_missing", [False, True])
def test_tables_are_restored_from_their_copies(store, capsys, name, folder, is_missing):
    before = hashes(store)
    if is_missing:
        (store / folder / name).unlink()
    else:
        flip(store / folder / name, place=100)
    code, _, err = verify_from_the_command_line(capsys, store)
    assert (code, err.splitlines()[-1]) == (1, f"hint: run `footage store verify {store} --repair`")
    assert verify_from_the_command_line(capsys, store, "--repair")[0] == 0
    assert hashes(store) == before


@pytest.mark.parametrize("is_missing", [False, True])
def test_description_is_restored_from_its_copy(store, capsys, is_missing):
    before = hashes(store)
    (store / "store.json").unlink() if is_missing else flip(store / "store.json", place=100)
    assert verify_from_the_command_line(capsys, store)[0] == 1
    assert verify_from_the_command_line(capsys, store, "--repair")[0] == 0
    assert hashes(store) == before


def test_damaged_description_of_a_manifest_replaces_no_intact_one(store, video_folder):
    before = hashes(store)
    flip(store / "manifests/000001/store.json", place=100)
    ingest([str(video_folder)], store, CONFIG, HERE)
    Store.open(store)
    assert verify(store, []).remaining == []
    assert hashes(store) == before


def test_bit_that_no_frame_depends_on_is_restored_without_videos(store):
    before = hashes(store)
    flip(parts(store)[0], place=1)
    assert len(Store.open(store).frames_of_shot(0)) == 4
    report = verify(store, [])
    assert [one.videos for one in report.checked.damage] == [[]]
    assert (report.remaining, hashes(store)) == ([], before)


def test_unlisted_part_is_reported_but_left_alone(store):
    shutil.copy(parts(store)[0], store / "frames" / "part-00007.parquet")
    report = verify(store, [])
    with pytest.raises(StoreError, match="part-00007") as error:
        require_sound(report)
    assert error.value.hint == "move these files out of the store"


def test_several_damaged_parts_are_restored_at_once(video_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("footage.ingestion.planning.UNIT_VIDEOS", (1, 1))
    out = tmp_path / "store"
    ingest([str(video_folder)], out, CONFIG, HERE)
    before = hashes(out)
    assert len(parts(out)) == 6
    for part in (1, 4):
        parts(out)[part].unlink()
    report = verify(out, [str(video_folder)])
    assert (len(report.restored), report.remaining, hashes(out)) == (2, [], before)


def test_folder_without_a_store_is_an_error(tmp_path, capsys):
    code, _, err = verify_from_the_command_line(capsys, tmp_path / "absent", "--repair")
    assert code == 1
    assert "frame store not found: " in err
    assert not (tmp_path / "absent").exists()


def test_damaged_part_of_version_1_is_restored_to_the_same_bytes(store, video_folder):
    recorded = as_version_1(store)
    before = hashes(store)
    data = (store / EARLIER_PART).read_bytes()
    flip(store / EARLIER_PART, place=len(data) // 2)
    report = verify(store, [str(video_folder)])
    assert len(report.checked.damage[0].videos) == 6
    assert (report.remaining, hashes(store)) == ([], before)
    assert Store.open(store).content_hash == recorded
    assert "have no checksums of frames" in report.summary()


def test_other_frames_are_restored_under_another_content_hash(store, video_folder):
    opened = Store.open(store)
    settings = opened.settings | {"jpeg_quality": 50}  # as if another encoder were installed
    recorded = content_hash(settings, opened.description.files)
    changed = msgspec.structs.replace(opened.description, settings=settings, content_hash=recorded)
    for folder in (store, store / "copies", store / "manifests/000001"):
        DOCUMENT.write(folder / "store.json", changed)
    frames = [opened.frames_of_shot(row) for row in range(18)]
    damage_frame(store, 4)
    report = verify(store, [str(video_folder)])
    assert report.remaining == []
    assert f"the content hash changed from {recorded[:16]} to" in report.summary()
    repaired = Store.open(store)
    repaired.verify()
    assert repaired.content_hash == report.content_hash != recorded
    for row in range(18):
        found = repaired.frames_of_shot(row)
        assert [one[:2] for one in found] == [one[:2] for one in frames[row]]
        assert (found == frames[row]) == (row not in (3, 4, 5))
    assert verify(store).checked.damage == []


@pytest.mark.parametrize("renames", range(4))
def test_repair_that_is_killed_is_finished_by_the_next(store, video_folder, monkeypatch, renames):
    before = hashes(store)
    parts(store)[0].unlink()
    done = []

    def count(function):
        def counted(path, target):
            if len(done) == renames:
                raise KeyboardInterrupt
            done.append(path)
            return function(path, target)

        return counted

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, count(getattr(Path, name)))
        with suppress(KeyboardInterrupt):
            verify(store, [str(video_folder)])
    report = verify(store, [str(video_folder)])
    assert (report.remaining, hashes(store)) == ([], before)
