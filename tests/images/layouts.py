"""The same few labelled images in every layout, as the usual tools write them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("ant", "bee", "wasp")
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(number: int) -> np.ndarray:
    """A picture that no other number gives."""
    return np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def encoded(number: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, kind)
    return file.getvalue()


def label_of(number: int) -> int:
    return number % len(CLASSES)


def features(image: str = "image", label: str = "label") -> dict:
    """What `datasets` notes about the two columns."""
    return {
        image: {"_type": "Image"},
        label: {"names": list(CLASSES), "_type": "ClassLabel"},
    }


def metadata() -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features()}}).encode()}


def table(numbers: range, labels: list | None = None) -> pa.Table:
    """Rows as `datasets` stores images that were given as pictures, without a path."""
    return pa.table(
        {
            "image": pa.array([{"bytes": encoded(n), "path": None} for n in numbers], IMAGE),
            "label": pa.array(labels or [label_of(n) for n in numbers]),
        }
    )


def write_folders(folder: Path, count: int = 9) -> Path:
    for number in range(count):
        path = folder / CLASSES[label_of(number)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    return folder


def write_list(folder: Path, count: int = 9) -> Path:
    write_folders(folder / "images", count)
    names = [CLASSES[label_of(number)] for number in range(count)]
    lines = [f"images/{name}/{number}.png\t{name}\n" for number, name in enumerate(names)]
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


def write_parquet(folder: Path, count: int = 9, parts: int = 2) -> Path:
    """Shards named as on the Hub, with row groups of two images."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for part, numbers in enumerate(np.array_split(np.arange(count), parts)):
        rows = table(range(int(numbers[0]), int(numbers[-1]) + 1))
        path = folder / "data" / f"train-{part:05d}-of-{parts:05d}.parquet"
        pq.write_table(rows.replace_schema_metadata(metadata()), path, row_group_size=2)
    return folder


def write_saved(folder: Path, count: int = 9, parts: int = 2) -> Path:
    """As `Dataset.save_to_disk` of datasets 5.2.0 leaves a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{part:05d}-of-{parts:05d}.arrow" for part in range(parts)]
    for name, numbers in zip(names, np.array_split(np.arange(count), parts), strict=True):
        rows = table(range(int(numbers[0]), int(numbers[-1]) + 1))
        rows = rows.replace_schema_metadata(metadata())
        with pa.ipc.new_stream(folder / name, rows.schema) as stream:
            stream.write_table(rows, max_chunksize=3)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0"}
    (folder / "state.json").write_text(json.dumps(state))
    info = {"citation": "", "description": "", "features": features()}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def write_saved_parts(folder: Path, parts: tuple[str, ...] = ("train", "test")) -> Path:
    """As `DatasetDict.save_to_disk` leaves a folder."""
    for part in parts:
        write_saved(folder / part, 9 if part == "train" else 3, 1)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
    return folder


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_tars(folder: Path, count: int = 9, parts: int = 2) -> Path:
    """Shards as WebDataset's writer makes them: members of a sample in the order of suffixes."""
    for part, numbers in enumerate(np.array_split(np.arange(count), parts)):
        members = {}
        for number in numbers.tolist():
            members[f"{number:06}.cls"] = CLASSES[label_of(number)].encode()
            members[f"{number:06}.png"] = encoded(number)
        write_tar(folder / f"shard-{part:06}.tar", members)
    return folder
