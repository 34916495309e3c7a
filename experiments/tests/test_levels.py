"""The arms of the experiments on levels and on co-training: they exist and differ as described."""

from experiments import cotraining, levels, longer, modern, scaling
from experiments.compare import check_views, read_arm, read_settings
from footage.recipes.methods import recipe

COMMON = read_settings(levels.COMMON)
LEVELS = {arm.label: arm.config(COMMON, 0) for arm in map(read_arm, levels.ARMS)}
COTRAINED = {arm.label: arm.config(COMMON, 0) for arm in map(read_arm, cotraining.ARMS)}


def test_arms_see_equally_many_views_of_videos():
    for arms in (levels.ARMS, cotraining.SHORT, cotraining.LONGER, modern.ARMS):
        check_views([read_arm(text) for text in arms], COMMON)


def test_the_longer_arms_are_those_of_levels_with_the_network_of_the_recipe():
    common = read_settings(longer.COMMON)
    check_views([read_arm(text) for text in longer.ARMS], common)
    for arm in map(read_arm, longer.ARMS):
        ours, theirs = arm.config(common, 0), LEVELS[arm.label]
        assert ours.objective == theirs.objective
        assert (ours.backbone.architecture, ours.steps) == ("resnet18", 2000)


def test_the_first_arm_is_the_shipped_recipe_with_another_network():
    shipped, ours = recipe("vivi-ex4-tiny"), LEVELS["vivi-ex4"]
    assert (ours.sampling, ours.augment) == (shipped.sampling, shipped.augment)
    assert (ours.objective, ours.steps) == (shipped.objective, shipped.steps)


def test_each_arm_has_the_levels_of_its_name():
    on = {
        label: (bool(config.objective.future.weight), bool(config.objective.order.weight))
        for label, config in LEVELS.items()
    }
    assert on == {
        "vivi-ex4": (True, True),
        "frames-as-images": (False, False),
        "ex-frame": (False, False),
        "ex-shot": (False, False),
        "vivi-ex4, future only": (True, False),
        "vivi-ex4, order only": (False, True),
        "vivi-rot": (True, True),
        "vivi-ex4, 2 views of a frame": (True, True),
        "ex-shot, 2 views of a frame": (False, False),
        "vivi-ex4, 4 views of one frame": (True, True),
        "vivi-full": (True, True),
        "ex-frame, 64 videos": (False, False),
        "ex-shot, 64 videos": (False, False),
        "vivi-ex4, mlp": (True, True),
        "frames-as-images, mlp": (False, False),
        "vivi-ex4, stride 4": (True, True),
        "vivi-full, learning rate 0.0003": (True, True),
        "vivi-full, learning rate 0.003": (True, True),
        "vivi-ex4, learning rate 0.0003": (True, True),
        "vivi-ex4, learning rate 0.003": (True, True),
        "frames-as-images, learning rate 0.0003": (False, False),
        "frames-as-images, learning rate 0.003": (False, False),
        "ex-frame, learning rate 0.0003": (False, False),
        "ex-frame, learning rate 0.003": (False, False),
        "vivi-ex4, strong colour": (True, True),
        "vivi-ex4, gentle colour": (True, True),
        "frames-as-images, strong colour": (False, False),
        "frames-as-images, gentle colour": (False, False),
        "ex-frame, strong colour": (False, False),
        "ex-frame, gentle colour": (False, False),
    }
    for label, config in LEVELS.items():
        _, _, rate = label.partition(", learning rate ")
        assert config.optimizer.learning_rate == float(rate or 0.001)
        _, _, noise = label.partition(", ")
        hue = {"strong colour": 0.2, "gentle colour": 0.05}.get(noise, 0.1)
        assert config.augment.hue == hue
    strides = {label: config.sampling.frame_stride for label, config in LEVELS.items()}
    assert {label for label, stride in strides.items() if stride != 1} == {"vivi-ex4, stride 4"}
    with_a_frame_level = {
        label for label, config in LEVELS.items() if config.objective.frame.weight
    }
    assert with_a_frame_level == {label for label in LEVELS if label.startswith("vivi-full")}
    positives = {label: config.objective.frame_shot.positives for label, config in LEVELS.items()}
    assert positives["ex-shot"] == "shot"
    for label in ("ex-frame", "frames-as-images", "vivi-ex4, 4 views of one frame"):
        assert positives[label] == "frame"


def test_supervision_is_given_all_images_that_cotraining_sees_and_the_tenth_is_a_tenth():
    assert {label: config.label_fraction for label, config in COTRAINED.items()} == {
        label: 0.1 if "10 %" in label else 1.0 for label in COTRAINED
    }
    equal = COTRAINED["sup 100 %, 3 x images"].images_per_step
    assert equal == COTRAINED["vivi-ex4-co 10 %"].images_per_step == 192


def test_scaling_changes_the_steps_or_the_videos_of_both_methods():
    arms = [read_arm(text) for text in scaling.ARMS]
    configs = {arm.label: arm.config(COMMON, 0) for arm in arms}
    assert len(configs) == 11
    third = configs.pop("vivi-full, 2000 steps")
    assert third.objective == LEVELS["vivi-full"].objective
    for label, config in configs.items():
        method, _, rest = label.partition(", ")
        other = configs[f"{({*scaling.METHODS} - {method}).pop()}, {rest}"]
        assert (config.steps, config.held_out_fraction) == (other.steps, other.held_out_fraction)
        assert (config.steps, config.held_out_fraction) != (1000, 0.1)


def test_modern_losses_are_run_with_and_without_the_video_level():
    configs = {arm.label: arm.config(COMMON, 0) for arm in map(read_arm, modern.ARMS)}
    for label in ("vivi-nce", "vivi-vicreg", "vivi-dino"):
        whole, alone = configs[label].objective, configs[f"{label}, no video level"].objective
        assert whole.future.weight > 0
        assert alone.future.weight == 0
        assert whole.frame_shot == alone.frame_shot
