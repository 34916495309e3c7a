import os

from footage.io.walk import suffixes, text, walk


def is_text(name):
    return name.endswith(".txt")


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def found_in(root):
    found = walk(root, is_text)
    return [path.relative_to(root).as_posix() for path in found.files], found


def test_files_are_chosen_by_name_and_everything_skipped_is_counted(tmp_path):
    make(tmp_path, "b.txt", "a/c.txt", "a/x.GIF", "a/y.gif", "README", ".git/d.txt", "a/.e.txt")
    names, found = found_in(tmp_path)
    assert names == ["a/c.txt", "b.txt"]
    assert found.skipped.num_hidden == 2
    assert dict(found.skipped.other_suffixes) == {".gif": 2, "": 1}
    assert str(found.skipped) == "3 of other types (.gif 2, no suffix 1), 2 hidden"


def test_links_to_folders_are_followed_and_loops_end(tmp_path):
    make(tmp_path / "in", "real/a.txt", "z.txt")
    make(tmp_path / "elsewhere", "deep/b.txt")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "real" / "up").symlink_to("..")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "in" / "broken").symlink_to(tmp_path / "absent")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in" / "linked")
    names, _ = found_in(tmp_path / "in")
    assert names == ["again/b.txt", "real/a.txt", "z.txt"]


def test_a_real_folder_keeps_its_names_when_a_link_leads_to_it_too(tmp_path):
    make(tmp_path, "z/real/a.txt")
    (tmp_path / "a-link").symlink_to(tmp_path / "z" / "real")
    assert found_in(tmp_path)[0] == ["z/real/a.txt"]


def test_linked_files_and_a_hidden_root_count(tmp_path):
    make(tmp_path, ".root/a.txt", "other/b.txt")
    (tmp_path / ".root" / "linked.txt").symlink_to(tmp_path / "other" / "b.txt")
    assert found_in(tmp_path / ".root")[0] == ["a.txt", "linked.txt"]


def test_names_that_are_not_utf8_become_escapes():
    assert text(os.fsdecode(b"caf\xe9.txt")) == "caf\\xe9.txt"


def test_only_the_commonest_suffixes_are_listed(tmp_path):
    make(tmp_path, *(f"{number}.{'abcdefg'[number]}" for number in range(7)))
    assert suffixes(walk(tmp_path, is_text).skipped.other_suffixes).endswith(", ...")


def test_link_to_a_folder_above_is_not_followed(tmp_path):
    for name in ("outside/a.png", "root/b.png", "root/below/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "root" / "up").symlink_to("..")
    (tmp_path / "root" / "below" / "top").symlink_to("/")
    found = walk(tmp_path / "root", lambda name: name.endswith(".png"))
    assert [path.name for path in found.files] == ["b.png", "c.png"]
