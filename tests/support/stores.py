"""Frame stores from given frames, without decoding."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from footage.store import manifest
from footage.store.reader import Store
from footage.store.records import ShotRecord, VideoRecord
from footage.store.units import UnitWriter


def write_store(
    path: Path,
    videos: Iterable[tuple[str, Sequence[Sequence[bytes]]]],
    *,
    shot_seconds: float = 10.0,
) -> Store:
    """Write one unit of videos with two frames per second.

    Args:
        path: The store folder.
        videos: Id of each video, ending with its hash in hexadecimal digits, and the JPEG bytes of
            the frames of each shot.
        shot_seconds: Time from the start of one shot to that of the next.
    """
    with UnitWriter(path) as writer:
        for video, shots in videos:
            frames = writer.frames_of(video)
            for shot, jpegs in enumerate(shots):
                for index, jpeg in enumerate(jpegs):
                    frames.add(shot, index, shot_seconds * shot + index / 2, jpeg)
            spans = [
                ShotRecord(
                    shot_seconds * shot, shot_seconds * shot + len(jpegs) / 2, 1.0, len(jpegs)
                )
                for shot, jpegs in enumerate(shots)
            ]
            record = VideoRecord(
                video=video,
                path=video.rpartition("#")[0],
                content_hash=f"{int(video.rpartition('#')[2], 16):064x}",
                num_bytes=1,
                decoded_seconds=spans[-1].end_seconds,
                num_shots=len(spans),
                num_frames=sum(span.num_frames for span in spans),
            )
            writer.add(record, spans, frames)
            frames.close()
        writer.finish({}, [])
    manifest.commit(path, manifest.Settings({"frames_per_second": 2.0}, {}, {}))
    return Store.open(path)
