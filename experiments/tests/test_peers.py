"""A peer gets exactly the frames on which our arms train."""

from experiments import peers
from footage.commands.train import train
from footage.runs import layout
from footage.store.reader import Store
from tests.support.training import smallest


def test_frames_of_training_videos_are_dumped_unchanged(tiny_store, tmp_path):
    config = smallest(steps=1)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    held_out = layout.read_record(run)["held_out"]
    store = Store.open(tiny_store.path)
    assert peers.held_out_videos(store, config) == held_out
    count = peers.dump(store, config, tmp_path / "frames")
    files = sorted((tmp_path / "frames").iterdir())
    shots = store.shots.to_pylist()
    trained = [row for row, shot in enumerate(shots) if shot["video"] not in held_out]
    assert held_out
    assert len(files) == count == sum(shots[row]["num_frames"] for row in trained)
    assert {int(file.name[:5]) for file in files} == set(trained)
    assert files[0].read_bytes() == store.encoded(trained[0], [0])[0]


def test_a_peer_is_compared_with_the_arms_of_levels():
    config = peers.configuration_of(3)
    assert (config.backbone.architecture, config.augment.size) == ("regnetx_002", 64)
    assert (config.seed, config.steps * config.sampling.images_per_batch) == (3, 128_000)
