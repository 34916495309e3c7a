"""A loaded model: the same features from files, pictures, arrays and tensors, and from videos."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import footage
from footage.errors import ConfigError, FootageError, VideoError
from footage.images.limits import ImageError


@pytest.fixture(scope="module")
def model():
    return footage.load("test_resnet", size=32, batch_size=3)


@pytest.fixture(scope="module")
def photos(shapes_folder):
    return sorted(path for path in shapes_folder.rglob("*") if path.is_file())[:5]


def test_every_form_of_an_image_has_the_features_of_its_file(model, photos, tmp_path):
    footage.embed("test_resnet", photos, out=tmp_path / "f.parquet", size=32, batch_size=1)
    expected = np.stack(pq.read_table(tmp_path / "f.parquet")["embedding"].to_pylist())
    pictures = [Image.open(path) for path in photos]
    arrays = [np.array(picture.convert("RGB")) for picture in pictures]
    tensors = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
    forms = [
        photos,
        [str(path) for path in photos],
        pictures,
        arrays,
        [array / 255 for array in arrays],
        [array.astype(np.float32) / 255 for array in arrays],
        tensors,
        [tensor / 255 for tensor in tensors],
        [photos[0], pictures[1], arrays[2], tensors[3], str(photos[4])],
        iter(photos),
    ]
    for form in forms:
        found = model(form)
        assert found.shape == (5, model.backbone.feature_dim)
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    for single in (photos[0], str(photos[0]), pictures[0], arrays[0], tensors[0]):
        assert np.allclose(model(single), expected[0], rtol=1e-4, atol=1e-5)


def test_a_batch_is_one_array_or_tensor_and_may_be_empty(model):
    images = np.random.default_rng(0).integers(0, 255, (7, 40, 30, 3), dtype=np.uint8)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.allclose(model(images), model(batch))
    assert torch.allclose(model(images), model(list(images)))
    assert torch.allclose(model(images[:1]), model(images[0])[None], atol=1e-6)
    assert model([]).shape == (0, model.backbone.feature_dim)
    assert not model(images).requires_grad


def test_the_backbone_takes_normalised_tensors_as_before(model):
    features = model.backbone(torch.zeros(2, 3, 32, 32))
    assert features.shape == (2, model.backbone.feature_dim)
    assert (model.name, model.preprocessing.size) == ("test_resnet", 32)
    assert "random weights" in model.weights_origin
    assert repr(model).startswith("<model 'test_resnet': test_resnet, ")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (5, "int 5 is not an image"),
        (None, "NoneType None is not an image"),
        (b"jpeg", "bytes b'jpeg' is not an image"),
        ([None], "NoneType None is not an image"),
        (np.zeros((8, 8)), r"the shape \(8, 8\) is not that of an RGB image"),
        (np.zeros((8, 8, 4), np.uint8), r"the shape \(8, 8, 4\) is not"),
        (torch.zeros(8, 8, 3), r"the shape \(8, 3, 8\) is not"),
        (np.zeros((0, 8, 3), np.uint8), "is not that of an RGB image"),
        (np.zeros((8, 8, 3), np.int64), "an image of type int64 cannot be used"),
        (np.full((8, 8, 3), 255.0), "a float image has values from 255 to 255"),
        (torch.full((3, 8, 8), -1.0), "a float image has values from -1 to -1"),
        (np.full((8, 8, 3), np.nan), "a float image has values from nan"),
    ],
)
def test_what_is_not_an_image_is_one_clear_error(model, image, message):
    with pytest.raises(ConfigError, match=message) as caught:
        model(image)
    assert "PIL images" in caught.value.hint


def test_a_damaged_or_missing_file_is_named(model, photos, tmp_path):
    (tmp_path / "a.jpg").write_bytes(photos[0].read_bytes()[:200])
    for path in (tmp_path / "a.jpg", tmp_path / "none.jpg"):
        with pytest.raises(ImageError, match=path.name):
            model([photos[0], path])


def test_the_frames_of_a_video_have_times_and_features(model, video_folder, tmp_path):
    video = next(video_folder.rglob("*.mp4"))
    found = model.embed(video, frames_per_second=2)
    footage.embed("test_resnet", video, out=tmp_path / "f.parquet", size=32, frames_per_second=2.0)
    table = pq.read_table(tmp_path / "f.parquet")
    assert found.seconds.tolist() == table["seconds"].to_pylist()
    expected = np.stack(table["embedding"].to_pylist())
    assert np.allclose(found.features, expected, rtol=1e-4, atol=1e-5)
    assert found.damage == ""
    assert f"frames    {len(expected)}" in repr(found)
    assert found.to_dict()["seconds"] == found.seconds.tolist()


def test_a_video_that_cannot_be_read_is_an_error(model, tmp_path, video_folder):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(VideoError):
        model.embed(tmp_path / "a.mp4")
    with pytest.raises(FootageError, match=r"none\.mp4"):
        model.embed(tmp_path / "none.mp4")
    with pytest.raises(ConfigError, match="frames_per_second"):
        model.embed(next(video_folder.rglob("*.mp4")), frames_per_second=0)


def test_the_device_is_chosen_and_checked():
    assert footage.load("test_resnet", device="auto").device.type in ("cpu", "cuda")
    assert footage.load("test_resnet", device=torch.device("cpu")).device.type == "cpu"
    for device in ("cqu", "cuda:99", ""):
        with pytest.raises(ConfigError, match=f"device '{device}' cannot be used"):
            footage.load("test_resnet", device=device)
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        footage.load("test_resnet", batch_size=0)
