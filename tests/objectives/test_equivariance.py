"""Targets of the equivariance level, and whether they can be predicted."""

import cv2
import numpy as np
import pytest
import torch

from footage.data.config import AugmentConfig
from footage.data.views import crop, draw, render
from footage.errors import ConfigError
from footage.objectives.config import EquivarianceConfig, FrameShotConfig, ObjectiveConfig
from footage.objectives.inputs import LevelInput
from footage.objectives.levels.equivariance import EquivarianceLevel, pooled
from footage.objectives.losses.relative_crop import relative_crop, relative_crops
from footage.objectives.losses.rotation import RotationConfig
from footage.objectives.titles import level_title
from footage.recipes.scales import SCALES
from footage.seeding import generator
from tests.support.objectives import MAP_D, ROWS, SHAPE, crops, features, maps_of

HEIGHT, WIDTH, SIZE = 180, 320, 128
PLAIN = AugmentConfig(
    size=SIZE,
    crop_scale_min=0.2,
    colour_probability=0.0,
    grey_probability=0.0,
    blur_probability=0.0,
)


def centre_of_the_spot(view):
    """Position of the bright spot in a view, relative to its centre, in widths and heights."""
    rows, columns = np.nonzero(view[..., 0] > 100)
    assert len(rows)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / SIZE - 0.5


def two_views(number):
    """Two random views of a frame, with a bright spot that both show, and their crops."""
    chosen = [draw(HEIGHT, WIDTH, generator("test", number, place), PLAIN) for place in (0, 1)]
    low = [max(one.left for one in chosen), max(one.top for one in chosen)]
    high = [
        min(one.left + one.width for one in chosen),
        min(one.top + one.height for one in chosen),
    ]
    if min(high[0] - low[0], high[1] - low[1]) < 40:
        return None
    spot = [
        int(generator("spot", number, axis).integers(low[axis] + 15, high[axis] - 15))
        for axis in (0, 1)
    ]
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(frame, spot, 4, (255, 255, 255), -1)
    views = [render(frame, one, SIZE) for one in chosen]
    return views, [crop(one, HEIGHT, WIDTH) for one in chosen]


def test_the_relation_of_two_crops_maps_each_point_of_one_view_to_the_other():
    seen = set()
    for number in range(60):
        made = two_views(number)
        if made is None:
            continue
        views, boxes = made
        relation = relative_crops(*(torch.tensor(box, dtype=torch.float64) for box in boxes))
        offset, ratio, flip = relation[:2].numpy(), relation[2:4].exp().numpy(), relation[4].item()
        point = centre_of_the_spot(views[1])
        if flip:
            point[0] *= -1
        found = offset + ratio * point
        assert found == pytest.approx(centre_of_the_spot(views[0]), abs=1.5 / SIZE)
        seen.add((boxes[0][4], boxes[1][4]))
    assert len(seen) == 4  # each combination of flips


def test_a_view_relative_to_itself_has_no_offset_and_no_flip():
    boxes = crops()
    assert not relative_crops(boxes, boxes).any()


def level_input(step=0, **changes):
    shown = crops(seed=step)
    values = {"maps": maps_of(shown), "crops": shown, **changes}
    return LevelInput(features=features(), rows=ROWS, step=step, seed=0, **values)


def level(**changes):
    torch.manual_seed(0)
    return EquivarianceLevel(MAP_D, EquivarianceConfig(weight=1.0, **changes))


def test_each_view_is_compared_with_the_next_one_of_its_shot():
    whole, batch = level(), level_input()
    cells = torch.nn.functional.normalize(whole.embed(batch.maps), dim=-1)
    predictions, relations = [], []
    for v, s in np.ndindex(*SHAPE[:2]):
        places = list(np.ndindex(*SHAPE[2:]))
        for place, following in zip(places, places[1:] + places[:1], strict=True):
            one, other = cells[v, s][place], cells[v, s][following]
            cosines = torch.stack([torch.stack([a @ b for b in other]) for a in one])
            predictions.append(whole.predict(cosines.flatten()))
            relations.append(relative_crops(batch.crops[v, s][place], batch.crops[v, s][following]))
    expected = relative_crop(torch.stack(predictions), torch.stack(relations))
    torch.testing.assert_close(whole(batch), expected)


def test_a_few_steps_find_the_crops_in_maps_that_show_them():
    whole = level()
    optimizer = torch.optim.Adam(whole.parameters(), lr=3e-3)
    for step in range(150):
        loss = whole(level_input(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.6 * whole.chance(SHAPE)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("frame", [(360, 640), (240, 320), (128, 128)])
def test_predicting_0_has_about_the_chance_loss_for_every_crop_and_frame(scale, frame):
    augment = SCALES[scale]().augment
    drawn = torch.tensor(
        [crop(draw(*frame, generator("test", number), augment), *frame) for number in range(600)]
    )
    relations = relative_crops(drawn[::2], drawn[1::2])
    found = relative_crop(torch.zeros_like(relations), relations).item()
    assert found == pytest.approx(level().chance(SHAPE), abs=0.1)


def test_maps_are_pooled_row_by_row():
    maps = torch.arange(64.0).view(1, 1, 8, 8)
    cells = pooled(maps)
    assert cells.shape == (1, 16, 1)
    assert cells[0, 1, 0] == maps[0, 0, :2, 2:4].mean()
    assert cells[0, 4, 0] == maps[0, 0, 2:4, :2].mean()
    assert pooled(torch.ones(2, 3, 2, 2)).shape == (2, 16, 3)


def test_rotated_views_are_refused():
    rotation = FrameShotConfig(loss=RotationConfig())
    with pytest.raises(ConfigError, match=r"equivariance\.weight = 0\.1, but .* rotates the views"):
        ObjectiveConfig(frame_shot=rotation, equivariance=EquivarianceConfig(weight=0.1))
    off = FrameShotConfig(weight=0.0, loss=RotationConfig())
    ObjectiveConfig(frame_shot=off, equivariance=EquivarianceConfig(weight=0.1))


def test_one_view_per_shot_is_refused():
    config = ObjectiveConfig(equivariance=EquivarianceConfig(weight=0.1))
    batch = {"videos_per_batch": 4, "shots_per_video": 4}
    with pytest.raises(ConfigError, match="one view per shot") as error:
        config.check(**batch, frames_per_shot=1, views_per_frame=1)
    assert "views_per_frame" in error.value.hint
    config.check(**batch, frames_per_shot=1, views_per_frame=2)
    config.check(**batch, frames_per_shot=2, views_per_frame=1)


@pytest.mark.parametrize("field", ["max_stride", "embedding_dim", "hidden_dim"])
def test_sizes_of_zero_are_refused(field):
    with pytest.raises(ConfigError, match=rf"equivariance\.{field} must be > 0, got 0"):
        EquivarianceConfig(**{field: 0})


def test_the_level_has_a_readable_title():
    assert level_title("frame/equivariance") == "Frame level: equivariance (relative crop)"
