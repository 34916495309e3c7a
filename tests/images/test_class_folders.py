"""Class folders with links: an image never gets the label of another class."""

import pytest

from footage.errors import ConfigError
from footage.images.folders import read_classes, read_list
from tests.support.labelled_shapes import draw_shapes


@pytest.fixture
def folder(tmp_path):
    return draw_shapes(tmp_path / "shapes")


def test_links_that_lead_back_add_no_image(folder):
    before = read_classes(folder)
    first, second, *_ = before
    (folder / first / "self").symlink_to("..")
    (folder / second / "loop").symlink_to("loop")
    (folder / second / "here").symlink_to(".")
    assert read_classes(folder) == before


def test_link_to_another_class_is_one_error(folder):
    first, second, *_ = read_classes(folder)
    (folder / second / "more").symlink_to(f"../{first}")
    message = f"the class folders '{first}' and '{second}' in .* both contain the images in .*/more"
    with pytest.raises(ConfigError, match=message) as error:
        read_classes(folder)
    assert "remove the link" in error.value.hint


def test_link_to_a_folder_elsewhere_is_followed(folder, tmp_path):
    first, *_ = before = read_classes(folder)
    (folder / first).rename(tmp_path / "elsewhere")
    (folder / first).symlink_to("../elsewhere")
    assert {name: len(paths) for name, paths in read_classes(folder).items()} == {
        name: len(paths) for name, paths in before.items()
    }


def test_long_line_of_a_list_is_named_by_its_number(folder):
    image = next(folder.rglob("*.png")).relative_to(folder)
    (folder / "list.txt").write_text(f"path,label\n\n{image},a\n{'x' * 200_000},b\n")
    with pytest.raises(ConfigError, match=r"line 4 of .* has 200,002 characters, at most 100,000"):
        read_list(folder / "list.txt")
