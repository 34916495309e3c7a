import numpy as np
import pytest
from PIL import Image

from footage.data import policies
from footage.data.policies import AUTOAUGMENT, OPERATIONS, OUTSIDE, auto_augment, rand_augment
from footage.seeding import generator

SIDE = 40
SHAPES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
FIXED = ("identity", "autocontrast", "equalize", "invert")


def picture(seed=0):
    """Smooth, colourful and neither black nor white anywhere."""
    coarse = np.random.default_rng(seed).integers(30, 220, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def applied(name, strength=1.0, sign=1.0, image=None):
    given = Image.fromarray(picture() if image is None else image)
    return np.asarray(OPERATIONS[name](given, strength, sign)).astype(int)


def luma(image):
    return np.asarray(Image.fromarray(image).convert("L")).astype(int)


def test_invert_solarize_and_posterize_are_functions_of_each_value():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    values = ramp.astype(int)
    np.testing.assert_array_equal(applied("invert", image=ramp), 255 - values)
    np.testing.assert_array_equal(applied("solarize", 1.0, image=ramp), 255 - values)
    np.testing.assert_array_equal(applied("solarize", 0.0, image=ramp), values)
    half = np.where(values < 128, values, 255 - values)
    np.testing.assert_array_equal(applied("solarize", 0.5, image=ramp), half)
    for strength, bits in ((0.0, 8), (0.25, 7), (0.5, 6), (1.0, 4)):
        kept = values & ~((1 << (8 - bits)) - 1)
        np.testing.assert_array_equal(applied("posterize", strength, image=ramp), kept)


def test_autocontrast_stretches_each_channel_to_the_full_range():
    image = picture()
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    expected = (image - low.astype(float)) / (high.astype(float) - low) * 255
    assert np.abs(applied("autocontrast") - expected).max() <= 1


def test_equalize_makes_all_values_equally_common():
    image = np.linspace(0, 1, 4096).reshape(64, 64, 1).repeat(3, axis=2) ** 3 * 200
    counts, _ = np.histogram(applied("equalize", image=image.astype(np.uint8)), 8, (0, 256))
    assert counts.max() < 2 * counts.min()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_blends_move_values_away_from_their_centre_by_a_known_factor(strength, sign):
    image = picture()
    factor = 1 + sign * strength * 0.9
    centres = {
        "brightness": np.zeros_like(image, dtype=int),
        "contrast": np.full_like(image, round(luma(image).mean()), dtype=int),
        "colour": luma(image)[..., None],
    }
    for name, centre in centres.items():
        expected = np.clip(centre + factor * (image - centre), 0, 255)
        assert np.abs(applied(name, strength, sign) - expected).max() <= 1, name


def test_sharpness_goes_both_ways():
    def roughness(pixels):
        return np.abs(np.diff(pixels, axis=0)).mean()

    assert roughness(applied("sharpness", 1.0, 1.0)) > roughness(picture().astype(int))
    assert roughness(applied("sharpness", 1.0, -1.0)) < roughness(picture().astype(int))


def test_translations_move_by_a_share_of_the_side_and_show_grey_behind():
    image, shift = picture(), 150 / 331 * SIDE
    image = np.repeat(np.repeat(image[:1, :1], SIDE, 0), SIDE, 1)
    covered = {
        "translate_x": lambda pixels: (pixels == OUTSIDE).all(axis=-1)[SIDE // 2],
        "translate_y": lambda pixels: (pixels == OUTSIDE).all(axis=-1)[:, SIDE // 2],
    }
    for name, line in covered.items():
        for strength in (0.5, 1.0):
            uncovered = line(applied(name, strength, 1.0, image))
            assert abs(uncovered.sum() - strength * shift) <= 1
            assert uncovered[-1]
            assert line(applied(name, strength, -1.0, image))[0]


def test_shears_move_the_far_side_by_three_tenths_of_the_side():
    image = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    image[:, SIDE // 2 :] = 255
    edges = [np.argmax(row[:, 0] > 200) for row in applied("shear_x", 1.0, -1.0, image)]
    assert edges[0] == SIDE // 2
    assert abs(edges[-1] - (SIDE // 2 + 0.3 * SIDE)) <= 1
    across = applied("shear_y", 1.0, -1.0, image.transpose(1, 0, 2).copy())
    np.testing.assert_array_equal(across, applied("shear_x", 1.0, -1.0, image).transpose(1, 0, 2))


def test_rotate_turns_by_thirty_degrees_at_full_strength():
    image = np.zeros((101, 101, 3), dtype=np.uint8)
    image[50, 90] = 255
    bright = applied("rotate", 1.0, 1.0, image)[..., 0]
    bright[bright == OUTSIDE[0]] = 0
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    angle = np.degrees(np.arctan2(50 - row, column - 50))
    assert abs(angle - 30) < 2


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in FIXED])
def test_no_strength_changes_nothing_and_more_strength_changes_more(name, sign):
    image = picture()
    views = [applied(name, strength / 5, sign) for strength in range(6)]
    np.testing.assert_array_equal(views[0], image)
    if name in SHAPES:
        changes = [int((view == OUTSIDE).all(axis=-1).sum()) for view in views]
    else:
        changes = [float(np.abs(view - image).mean()) for view in views]
    assert changes == sorted(changes)
    assert changes[-1] > (100 if name in SHAPES else 0.3)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 50)])
def test_every_operation_keeps_size_and_type_and_leaves_its_input(name, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = image.copy()
    changed = np.asarray(OPERATIONS[name](Image.fromarray(image), 0.7, -1.0))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_the_policy_for_imagenet_has_25_parts_of_known_operations():
    assert len(AUTOAUGMENT) == 25
    assert len(set(AUTOAUGMENT)) == 20
    for stage in (stage for stages in AUTOAUGMENT for stage in stages):
        assert stage.operation in OPERATIONS
        assert 0 <= stage.probability <= 1
        assert 0 <= stage.level <= 10


@pytest.mark.parametrize(
    ("operation", "level", "value"),
    [("colour", 0, 0.1), ("colour", 4, 0.82), ("contrast", 8, 1.54), ("colour", 10, 1.9)],
)
def test_levels_of_blends_count_from_a_tenth_to_nineteen_tenths(operation, level, value):
    for sign in (-1.0, 1.0):
        stage = policies.Stage(operation, 1.0, level)
        strength, direction = policies._on_our_scale(stage, sign)
        assert 1 + direction * strength * 0.9 == pytest.approx(value)


@pytest.mark.parametrize("policy", [auto_augment, lambda *of: rand_augment(*of, 2, 9)])
def test_a_policy_is_a_function_of_its_draws_and_takes_as_many_each_time(policy):
    after = set()
    views = []
    for number in range(60):
        random = generator("test", number)
        views.append(policy(picture(), random))
        assert (views[-1] == policy(picture(), generator("test", number))).all()
        fresh = generator("test", number)
        drawn = fresh.random(40).tolist()
        after.add(drawn.index(random.random()))
    assert len(after) == 1
    assert len({view.tobytes() for view in views}) > 20


def test_randaugment_draws_its_fourteen_operations_equally_often(monkeypatch):
    counts = dict.fromkeys(OPERATIONS, 0)

    def counting(name):
        def operation(image, strength, sign):
            assert strength == 0.6
            assert sign in (-1.0, 1.0)
            counts[name] += 1
            return image

        return operation

    monkeypatch.setattr(policies, "OPERATIONS", {name: counting(name) for name in OPERATIONS})
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    for number in range(1400):
        rand_augment(image, generator("test", number), 2, 6)
    assert counts.pop("invert") == 0
    assert 150 < min(counts.values()) <= max(counts.values()) < 250
