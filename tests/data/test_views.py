import colorsys

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.data.config import EXEMPLAR, AugmentConfig
from footage.data.views import augment, augment_jpeg, decode, decode_resized, draw, resized
from footage.errors import ConfigError, StoreError
from footage.seeding import generator

OFF = AugmentConfig(
    size=64,
    crop_scale_min=1.0,
    crop_stretch=1.0,
    flip_probability=0.0,
    colour_probability=0.0,
    grey_probability=0.0,
    blur_probability=0.0,
)
REPEATS = 2000


def only(**options):
    """Augmentation with everything off but the options."""
    fields = {name: getattr(OFF, name) for name in OFF.__slots__}
    return AugmentConfig(**{**fields, **options})


def picture(height=120, width=160, seed=0):
    """A smooth colourful image, as a photograph is at this scale."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def plain(colour, side=64):
    return np.full((side, side, 3), colour, dtype=np.uint8)


def draws(config, height=256, width=340):
    return [draw(height, width, generator("test", number), config) for number in range(REPEATS)]


def test_the_same_key_gives_the_same_view_and_another_key_another():
    image = picture()
    config = AugmentConfig(size=32)
    first = augment(image, generator("test", 1, 2, 3), config)
    assert (first == augment(image, generator("test", 1, 2, 3), config)).all()
    assert (first != augment(image, generator("test", 1, 2, 4), config)).any()


def test_keys_of_other_lengths_signs_and_purposes_draw_other_numbers():
    keys = [("a", 1), ("a", 1, 0), ("a", 0, 1), ("a", 11), ("a", -1), ("b", 1), ("a", 2**80)]
    assert len({generator(*key).random() for key in keys}) == len(keys)


def test_numpy_integers_and_python_integers_are_the_same_key():
    assert generator("a", np.int64(3)).random() == generator("a", 3).random()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.integers(0, 9))
def test_any_image_gives_a_contiguous_view_of_the_size_and_is_left_alone(
    height, width, size, number
):
    image = picture(height, width)
    before = image.copy()
    view = augment(image, generator("test", number), AugmentConfig(size=size))
    assert view.shape == (size, size, 3)
    assert view.dtype == np.uint8
    assert view.flags.c_contiguous
    assert not np.shares_memory(view, image)
    assert (image == before).all()


def test_with_everything_off_a_view_is_the_plain_resize():
    image = picture(120, 120)
    assert (augment(image, generator("test", 0), OFF) == resized(image, 64)).all()
    assert (augment(image, generator("test", 0), only(size=120)) == image).all()


def test_areas_of_crops_are_uniform_over_the_asked_range():
    config = only(crop_scale_min=0.1, crop_scale_max=0.6, crop_stretch=4 / 3)
    areas = np.array([each.height * each.width for each in draws(config)]) / (256 * 340)
    assert areas.min() > 0.09
    assert areas.max() < 0.61
    shares, _ = np.histogram(areas, bins=5, range=(0.1, 0.6))
    assert shares.min() > 0.9 * REPEATS / 5, shares
    assert shares.max() < 1.1 * REPEATS / 5, shares


def test_crops_are_as_often_wide_as_high_and_never_stretched_further():
    config = only(crop_scale_min=0.1, crop_scale_max=0.4, crop_stretch=4 / 3)
    ratios = np.array([each.width / each.height for each in draws(config)])
    assert ratios.max() < 4 / 3 * 1.02
    assert ratios.min() > 3 / 4 / 1.02
    assert 0.46 < (ratios > 1).mean() < 0.54


def test_crops_reach_every_edge_and_stay_inside():
    config = only(crop_scale_min=0.05, crop_scale_max=1.0, crop_stretch=4 / 3)
    boxes = np.array([each[:4] for each in draws(config, 40, 60)])
    bottom, right = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert (bottom.max(), right.max()) == (40, 60)


def test_a_crop_that_cannot_fit_becomes_the_largest_of_an_allowed_shape():
    config = only(crop_scale_min=1.0, crop_stretch=4 / 3)
    for each in draws(config, 100, 300)[:20]:
        assert (each.height, each.width) == (100, 133)


def test_views_are_mirrored_as_often_as_asked():
    image = picture(64, 64)
    config = only(flip_probability=0.3)
    flipped = [
        (augment(image, generator("test", number), config) != image).any()
        for number in range(REPEATS)
    ]
    assert 0.27 < np.mean(flipped) < 0.33
    mirrored = augment(image, generator("test", flipped.index(True)), config)
    assert (mirrored == image[:, ::-1]).all()


def test_switching_one_augmentation_off_leaves_the_others_as_they_were():
    everything, without = AugmentConfig(), AugmentConfig(blur_probability=0.0, hue=0.0)
    for one, other in zip(draws(everything)[:50], draws(without)[:50], strict=True):
        assert one[:6] == other[:6]


def test_brightness_multiplies():
    levels = [
        augment(plain(100), generator("test", number), only(colour_probability=1.0, contrast=0.0))[
            0, 0, 0
        ]
        for number in range(300)
    ]
    assert 58 <= min(levels) <= 64
    assert 136 <= max(levels) <= 142
    assert 95 < np.mean(levels) < 105


def test_contrast_turns_around_the_mean_brightness():
    image = np.concatenate([plain(60)[:32], plain(140)[:32]])
    config = only(colour_probability=1.0, brightness=0.0, saturation=0.0, hue=0.0, contrast=0.5)
    views = [augment(image, generator("test", number), config) for number in range(100)]
    spreads = [int(view.max()) - int(view.min()) for view in views]
    assert 40 <= min(spreads) < 45
    assert 115 < max(spreads) <= 121
    assert all(abs(view.mean() - 100) < 1 for view in views)


def test_saturation_keeps_luma_and_greys():
    config = only(colour_probability=1.0, brightness=0.0, contrast=0.0, hue=0.0, saturation=1.0)
    luma = np.array([0.299, 0.587, 0.114])
    for number in range(50):
        view = augment(plain((150, 100, 120)), generator("test", number), config)
        assert abs(view[0, 0] @ luma - np.array([150, 100, 120]) @ luma) < 1
        assert (augment(plain(90), generator("test", number), config) == 90).all()


def test_hue_turns_red_towards_yellow_for_one_sign_and_magenta_for_the_other():
    config = only(colour_probability=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.1)
    red = np.array([200, 60, 60])
    turned, asked = [], []
    for number in range(200):
        view = augment(plain(red), generator("test", number), config)[0, 0] / 255
        hue = colorsys.rgb_to_hsv(*view)[0]
        turned.append((hue + 0.5) % 1 - 0.5)
        asked.append((2 * generator("test", number).random(31)[7] - 1) * 0.1)
    assert np.corrcoef(turned, asked)[0, 1] > 0.98
    assert 0.5 < np.polyfit(asked, turned, 1)[0] < 1.6


def test_half_a_turn_of_hue_gives_the_complement():
    config = only(colour_probability=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    views = [
        augment(plain((150, 100, 100)), generator("test", number), config)[0, 0]
        for number in range(300)
    ]
    assert min(int(view[0]) - int(view[1]) for view in views) < -35


def test_grey_views_are_grey_with_the_luma_of_the_frame_and_as_often_as_asked():
    image = picture(64, 64)
    views = [
        augment(image, generator("test", number), only(grey_probability=0.25))
        for number in range(REPEATS)
    ]
    grey = [bool((view.max(axis=2) == view.min(axis=2)).all()) for view in views]
    assert 0.22 < np.mean(grey) < 0.28
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(views[grey.index(True)][..., 0] - luma).max() <= 1


def test_blur_smooths_and_keeps_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    config = only(blur_probability=1.0, blur_sigma_min=7.0, blur_sigma_max=7.0)
    view = augment(image, generator("test", 0), config)
    assert view.std() < 0.25 * image.std()
    assert abs(view.mean() - image.mean()) < 1.5


def test_the_weakest_blur_is_skipped_only_where_it_would_change_nothing():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (cv2.GaussianBlur(image, (3, 3), 0.28) == image).mean() > 0.9
    assert np.abs(cv2.GaussianBlur(image, (3, 3), 0.28).astype(int) - image).max() <= 2


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 254
    assert np.abs(resized(stripes, 64).astype(int) - 127).max() <= 1
    assert np.abs(resized(stripes[:40], 64).astype(int) - 127).max() <= 1


def test_resizing_to_the_same_size_copies():
    image = picture(64, 64)
    same = resized(image, 64)
    assert (same == image).all()
    assert not np.shares_memory(same, image)


def jpeg_of(image):
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=95)


def test_decoding_may_halve_but_never_goes_below_the_asked_side():
    jpeg = jpeg_of(picture(256, 340))
    sides = {asked: min(decode(jpeg, asked).shape[:2]) for asked in (20, 64, 65, 128, 129, 256)}
    assert sides == {20: 32, 64: 64, 65: 96, 128: 128, 129: 256, 256: 256}
    assert min(decode(jpeg, 1000).shape[:2]) == 256


def test_views_from_a_smaller_decode_look_like_views_from_the_whole_frame():
    image = picture(256, 340)
    jpeg, config = jpeg_of(image), AugmentConfig(size=32, blur_probability=0.0)
    for number in range(40):
        small = augment_jpeg(jpeg, [generator("test", number)], config)[0]
        whole = augment(image, generator("test", number), config)
        assert np.abs(small.astype(int) - whole).mean() < 6, number


def test_views_of_one_frame_differ_and_come_in_the_order_of_their_generators():
    jpeg, config = jpeg_of(picture(256, 340)), AugmentConfig(size=200)
    both = augment_jpeg(jpeg, [generator("test", 0), generator("test", 1)], config)
    alone = augment_jpeg(jpeg, [generator("test", 1)], config)
    assert both.shape == (2, 200, 200, 3)
    assert (both[0] != both[1]).any()
    assert (both[1] == alone[0]).all()


def test_an_enlarged_view_of_a_tiny_frame_is_made():
    views = augment_jpeg(jpeg_of(picture(9, 7)), [generator("test", 0)], AugmentConfig(size=64))
    assert views.shape == (1, 64, 64, 3)


def test_the_whole_frame_as_a_square_keeps_its_colours():
    square = decode_resized(jpeg_of(plain((200, 40, 90), 256)), 64)
    assert square.shape == (64, 64, 3)
    assert np.abs(square.reshape(-1, 3).mean(axis=0) - [200, 40, 90]).max() < 4


@pytest.mark.parametrize("damage", [b"", b"no image", "cut"])
def test_a_damaged_jpeg_is_a_store_error(damage):
    jpeg = jpeg_of(picture())
    damaged = jpeg[: len(jpeg) // 2] if damage == "cut" else damage
    with pytest.raises(StoreError, match=r"a stored frame is (damaged|not an image)"):
        augment_jpeg(damaged, [generator("test", 0)], AugmentConfig(size=16))
    with pytest.raises(StoreError, match=r"a stored frame is (damaged|not an image)"):
        decode_resized(damaged, 16)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0),
        ("size", 4097),
        ("size", 10**9),
        ("crop_scale_min", 0.0),
        ("crop_scale_max", 1.5),
        ("crop_stretch", 0.5),
        ("flip_probability", 1.1),
        ("hue", 0.6),
        ("brightness", -0.1),
        ("blur_sigma_min", 3.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        AugmentConfig(**{field: value})


def test_the_exemplar_preset_greys_two_views_in_three():
    grey = [np.ptp(each.matrix, axis=0).max() < 1e-9 for each in draws(EXEMPLAR)]
    assert 0.63 < np.mean(grey) < 0.69
