import os
import shutil
import subprocess

import made
import pytest
from pocket_suite import debian
from pocket_suite.debian import MissingSourceError

from footage.errors import FootageError

FILES = {"./usr/share/one.png": b"one", "./usr/share/deep/two.png": b"two", "./etc/three": b"3"}


@pytest.mark.parametrize("compression", ["xz", "gz", ""])
def test_only_wanted_files_are_written_under_their_names(tmp_path, compression):
    package = made.deb(tmp_path / "a_1_all.deb", FILES, compression=compression)
    written = debian.unpack(package, r"usr/.*\.png", tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in written}
    assert found == {"usr/share/one.png": b"one", "usr/share/deep/two.png": b"two"}
    assert not (tmp_path / "out" / "etc").exists()


@pytest.mark.skipif(
    not (shutil.which("zstd") and shutil.which("dpkg-deb")), reason="needs zstd and dpkg-deb"
)
def test_zstandard_packages_are_read_with_dpkg(tmp_path):
    plain = made.deb(tmp_path / "a_1_all.deb", FILES, compression="")
    data = plain.read_bytes().split(b"`\n", 3)[3]
    packed = subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout
    control = subprocess.run(
        ["tar", "-cJf", "-", "--files-from=/dev/null"], capture_output=True, check=True
    ).stdout
    members = {"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.zst": packed}
    package = tmp_path / "b_1_all.deb"
    package.write_bytes(made.ar(members))
    assert len(debian.unpack(package, r"usr/.*\.png", tmp_path / "out")) == 2


def test_links_are_skipped_and_nothing_is_written_outside(tmp_path):
    links = [("./usr/share/link.png", "/etc/passwd")]
    package = made.deb(tmp_path / "a_1_all.deb", FILES, links=links)
    written = debian.unpack(package, r"usr/share/[^/]*\.png", tmp_path / "out")
    assert [path.name for path in written] == ["one.png"]
    bad = made.deb(tmp_path / "bad_1_all.deb", {"./usr/../../escaped.png": b"x"})
    with pytest.raises(FootageError, match=r"escaped\.png"):
        debian.unpack(bad, r".*\.png", tmp_path / "out")
    assert not (tmp_path / "escaped.png").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"no archive" + content,
        lambda content: content[:100],
        lambda content: content[:-90],
        lambda content: content.replace(b"data.tar", b"dada.tar"),
    ],
)
def test_a_damaged_package_is_an_error_with_a_hint(tmp_path, spoil):
    package = made.deb(tmp_path / "a_1_all.deb", {"./usr/x.png": os.urandom(2000)})
    package.write_bytes(spoil(package.read_bytes()))
    with pytest.raises(FootageError) as raised:
        debian.unpack(package, r"usr/.*", tmp_path / "out")
    assert raised.value.hint == "fetch the package again"


def test_a_package_without_the_files_is_an_error(tmp_path):
    package = made.deb(tmp_path / "a_1_all.deb", FILES)
    with pytest.raises(FootageError, match="no file like"):
        debian.unpack(package, "opt/.*", tmp_path / "out")


def test_a_package_in_the_folder_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    package = made.deb(tmp_path / "some-package_1.2_all.deb", FILES)
    made.deb(tmp_path / "some-package-doc_1.2_all.deb", FILES)
    assert debian.fetch("some-package", tmp_path) == package


def test_without_apt_get_the_hint_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingSourceError) as raised:
        debian.fetch("some-package", tmp_path)
    assert "apt-get download some-package" in raised.value.hint


def fake_apt_get(folder, script):
    folder.mkdir()
    program = folder / "apt-get"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return str(folder)


def test_apt_get_downloads_into_the_folder(tmp_path, monkeypatch):
    source = made.deb(tmp_path / "source.deb", FILES)
    script = f'[ "$1" = download ] && cp {source} "$3_1_all.deb"'
    monkeypatch.setenv("PATH", fake_apt_get(tmp_path / "bin", script) + ":/bin:/usr/bin")
    found = debian.fetch("some-package", tmp_path / "debs")
    assert found.name == "some-package_1_all.deb"
    assert found.read_bytes() == source.read_bytes()


def test_the_message_of_apt_get_is_part_of_the_error(tmp_path, monkeypatch):
    script = "echo E: Unable to locate package some-package >&2; exit 100"
    monkeypatch.setenv("PATH", fake_apt_get(tmp_path / "bin", script) + ":/bin:/usr/bin")
    with pytest.raises(MissingSourceError, match="Unable to locate package"):
        debian.fetch("some-package", tmp_path / "debs")
