import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.data.label_subset import label_fraction, write_share
from footage.errors import ConfigError
from footage.images.dataset import open_images
from tests.images import layouts

CLASSES = st.lists(st.integers(0, 5), min_size=1, max_size=60)
SHARES = st.floats(0.001, 1.0)


def names_of(labels):
    return [f"{label}/{place}.png" for place, label in enumerate(labels)]


@settings(deadline=None, derandomize=True)
@given(labels=CLASSES, share=SHARES, seed=st.integers(0, 2**40))
def test_every_class_keeps_its_share_and_at_least_one_image(labels, share, seed):
    rows = label_fraction(names_of(labels), np.array(labels), share, seed)
    assert (np.diff(rows) > 0).all()
    kept, all_images = (np.bincount(of, minlength=6) for of in (np.array(labels)[rows], labels))
    for few, many in zip(kept.tolist(), all_images.tolist(), strict=True):
        assert few == (max(1, round(share * many)) if many else 0)


@settings(deadline=None, derandomize=True)
@given(labels=CLASSES, shares=st.tuples(SHARES, SHARES), seed=st.integers(0, 9))
def test_a_smaller_share_is_part_of_a_larger_one(labels, shares, seed):
    small, large = (
        set(label_fraction(names_of(labels), np.array(labels), share, seed).tolist())
        for share in sorted(shares)
    )
    assert small <= large


@settings(deadline=None, derandomize=True)
@given(labels=CLASSES, order=st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(labels, order):
    pairs = list(zip(names_of(labels), labels, strict=True))
    shuffled = pairs.copy()
    order.shuffle(shuffled)

    def picked(listed):
        names, numbers = [name for name, _ in listed], np.array([label for _, label in listed])
        return {names[row] for row in label_fraction(names, numbers, 0.3, 0)}

    assert picked(pairs) == picked(shuffled)


def test_images_that_are_added_move_few_others():
    labels = np.arange(2000) % 4
    names = names_of(labels)
    before = {names[row] for row in label_fraction(names, labels, 0.1, 0)}
    more = np.append(labels, np.arange(40) % 4)
    longer = [*names, *(f"new{number}.png" for number in range(40))]
    after = {longer[row] for row in label_fraction(longer, more, 0.1, 0)}
    assert len(after) == 204
    assert len(before - after) <= 4


def test_another_seed_picks_other_images_and_all_are_all():
    labels = np.arange(200) % 2
    picks = [label_fraction(names_of(labels), labels, 0.1, seed).tolist() for seed in (0, 1)]
    assert picks[0] != picks[1]
    assert label_fraction(names_of(labels), labels, 1.0, 0).tolist() == list(range(200))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        label_fraction(["a"], np.array([0]), share, 0)


def test_the_list_names_the_images_of_the_share_and_their_classes(tmp_path):
    images = open_images(layouts.write_folders(tmp_path / "set"))
    rows = label_fraction(images.names, images.labels, 0.5, 0)
    path = write_share(tmp_path / "run" / "labelled.txt", images, rows)
    assert [entry.name for entry in path.parent.iterdir()] == ["labelled.txt"]
    listed = [line.split("\t") for line in path.read_text().splitlines()]
    assert listed == [
        [images.name(row), images.classes[images.labels[row]]] for row in rows.tolist()
    ]
