import numpy as np
import torch

from footage.evaluation.held_out_frames import HeldOutFrames
from footage.training import pictures
from footage.training.loader import Batch
from footage.training.pictures import BORDER, CELL, neighbours_picture, views_picture


def batch(views=None, images=None):
    return Batch(step=0, views=views, plan=None, images=images, labels=None, rows=None)


def test_every_row_of_views_is_one_video():
    views = torch.zeros(10, 4, 2, 2, 128, 128, 3, dtype=torch.uint8)
    views += torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1, 1, 1, 1)
    picture = views_picture(batch(views))["views"]
    cell = CELL + 2 * BORDER
    assert picture.shape == (pictures.ROWS * cell, pictures.COLUMNS * cell, 3)
    for row in range(pictures.ROWS):
        assert (picture[row * cell + cell // 2, BORDER : BORDER + CELL] == row).all()


def test_labelled_images_fill_a_rectangle():
    for count, shape in ((3, (1, 3)), (10, (1, 8)), (200, (8, 8))):
        images = torch.zeros(count, 32, 32, 3, dtype=torch.uint8)
        picture = views_picture(batch(images=images))["views"]
        cell = 32 + 2 * BORDER
        assert picture.shape == (shape[0] * cell, shape[1] * cell, 3)
    assert views_picture(batch()) == {}


def test_the_nearest_other_shots_are_framed_by_whether_they_are_of_the_same_video():
    angles = torch.tensor([0.0, 1, 10, 40, 41, 60]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.arange(1, 7).view(-1, 1)
    images = torch.arange(0, 60, 10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(6, 16, 16, 3)
    frames = HeldOutFrames(
        images.contiguous(),
        videos=torch.tensor([0, 0, 1, 0, 0, 1]),
        shots=torch.tensor([0, 0, 1, 2, 2, 3]),
    )
    picture = neighbours_picture(frames, features)
    cell = 16 + 2 * BORDER
    assert picture.shape == (4 * cell, 4 * cell, 3)
    first_row = picture[cell // 2]
    shown = first_row[cell // 2 :: cell, 0]
    assert shown.tolist() == [0, 20, 30, 50]  # one frame per other shot, the most similar one
    colours = [tuple(first_row[column * cell].tolist()) for column in range(4)]
    assert colours == [
        pictures.QUERY,
        pictures.OTHER_VIDEO,
        pictures.SAME_VIDEO,
        pictures.OTHER_VIDEO,
    ]
    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint8
