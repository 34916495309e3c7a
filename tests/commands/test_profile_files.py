"""A profile or a report never replaces other files by default."""

from pathlib import Path

import pytest

from footage.commands.profile import ProfileConfig, profile
from footage.errors import BusyError, ConfigError, OutputError
from footage.io import files
from footage.reporting.output import check_target

SMALL = ProfileConfig(scenes=1, size=32)


def test_another_profile_stays_until_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "profile"
    profile(["test_resnet"], out=out, config=SMALL)
    profile(["test_resnet"], out=out, config=SMALL)  # the same again
    before = (out / "profile.json").read_bytes()
    other = ProfileConfig(scenes=2, size=32)
    with pytest.raises(ConfigError, match="exists and contains another profile") as caught:
        profile(["test_resnet"], out=out, config=other)
    assert caught.value.hint == "choose another --out, or add --overwrite to replace it"
    assert (out / "profile.json").read_bytes() == before
    profile(["test_resnet"], out=out, config=other, overwrite=True)
    assert (out / "profile.json").read_bytes() != before
    (out / "profile.json").write_text("my notes")
    with pytest.raises(
        ConfigError, match=r"exists, and .* cannot be read as an invariance profile"
    ):
        profile(["test_resnet"], out=out, config=other)
    assert sorted(path.name for path in out.iterdir()) == ["profile.json", "profile.svg"]
    with (
        files.exclusive(out / ".lock", out),
        pytest.raises(BusyError, match="is being written by process"),
    ):
        profile(["test_resnet"], out=out, config=SMALL)


def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    check_target(page, "report", "--out")
    page.write_text("<!doctype html><html><head><title>footage report: a</title></head></html>")
    check_target(page, "report", "--out")
    page.write_text("my notes")
    with pytest.raises(ConfigError, match="exists and was not written by footage report"):
        check_target(page, "report", "--out")
    with pytest.raises(ConfigError, match="exists and was not written by footage report"):
        check_target(tmp_path, "report", "--out")
    with pytest.raises(OutputError, match="cannot be written"):
        check_target(page / "report.html", "report", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
