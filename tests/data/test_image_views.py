import io

import numpy as np
import pytest
from PIL import Image

from footage.data.config import LabelledViewConfig
from footage.data.image_views import labelled_view_of
from footage.data.views import augment
from footage.errors import ConfigError
from footage.images.decode import ImageError, decode_image
from footage.images.opening import open_one
from footage.seeding import generator

POLICIES = ("none", "randaugment", "autoaugment")


def picture(height=120, width=160):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).copy()


def encoded(image, kind):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


DATA = encoded(picture(), "PNG")


def view_of(number, config, data=DATA, size=24):
    return labelled_view_of(open_one("image", data), generator("test", number), config, size)


def test_without_a_policy_a_view_is_a_crop_and_perhaps_a_flip():
    config = LabelledViewConfig()
    expected = augment(picture(), generator("test", 1), config.crops(32))
    np.testing.assert_array_equal(view_of(1, config, size=32), expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_view_is_a_function_of_image_and_key(policy):
    config = LabelledViewConfig(policy=policy)
    views = [view_of(number % 10, config) for number in range(20)]
    assert all(view.shape == (24, 24, 3) and view.dtype == np.uint8 for view in views)
    assert all((a == b).all() for a, b in zip(views[:10], views[10:], strict=True))
    assert len({view.tobytes() for view in views}) == 10


@pytest.mark.parametrize("policy", POLICIES)
def test_another_policy_leaves_the_crop_where_it_was(policy):
    plain, other = LabelledViewConfig(), LabelledViewConfig(policy=policy, magnitude=0)
    differences = [
        np.abs(view_of(number, plain).astype(int) - view_of(number, other)).mean()
        for number in range(40)
    ]
    assert sum(difference < 1 for difference in differences) > 3


def test_a_large_jpeg_may_be_decoded_smaller_and_its_view_stays_nearly_the_same():
    data, config = encoded(picture(400, 600), "JPEG"), LabelledViewConfig()
    for number in range(5):
        whole = augment(decode_image(data, "a"), generator("test", number), config.crops(40))
        assert np.abs(view_of(number, config, data, 40).astype(int) - whole).mean() < 5


def test_damaged_bytes_are_refused_by_name():
    data = encoded(picture(), "JPEG")[:400]
    with pytest.raises(ImageError, match=r"^cat/1\.jpg is damaged"):
        labelled_view_of(
            open_one("cat/1.jpg", data), generator("test", 0), LabelledViewConfig(), 24
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop_scale_min", 0.0),
        ("flip_probability", 1.5),
        ("operations", 0),
        ("magnitude", 11),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        LabelledViewConfig(**{field: value})
