"""Frame stores in the format of earlier versions."""

import hashlib
import json
import shutil

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from footage.store.description import file_entry
from footage.store.frames import FramesFile, FramesWriter, frames_entry
from footage.store.parts import PartList
from footage.store.reader import Store
from footage.store.tables import Tables, group_lengths, totals

PART = "frames/part-00000.parquet"
TABLES = ("videos.parquet", "shots.parquet")


def as_earlier(store, version):
    """Rewrite a store as version 1 or 2 of its format; return its content hash.

    Version 1, of footage 0.1, had no checksums, no copies, and no column `mirrored`.
    """
    opened = Store.open(store)
    groups, places = [], {}
    for shot in opened.shots.to_pylist():
        places[shot["video"], shot["shot"]] = len(groups)
        with FramesFile.open(store / opened.parts.name(shot["part"])) as file:
            for group in range(len(group_lengths(shot["num_frames"]))):
                groups.append(file.file.read_row_group(shot["row_group"] + group))
    for name in ("frames", "manifests", "copies"):
        shutil.rmtree(store / name)
    (store / "frames").mkdir()
    writer = FramesWriter(store / PART, version)
    for group in groups:
        writer.write(group)
    writer.finish()
    entry = frames_entry(store / PART, version)
    added = ["duplicate_of", "mirrored"] if version == 1 else ["duplicate_of"]
    pq.write_table(opened.videos.drop_columns(added), store / TABLES[0], write_page_checksum=True)
    shots = opened.every_shot
    shots = shots.set_column(0, "video", shots["video"].cast(pa.string()))
    shots = shots.sort_by([("video", "ascending"), ("shot", "ascending")])
    pairs = zip(shots["video"].to_pylist(), shots["shot"].to_pylist(), strict=True)
    numbers = {"part": [0] * len(shots), "row_group": [places.get(pair, 0) for pair in pairs]}
    for name, values in numbers.items():
        place = shots.schema.get_field_index(name)
        shots = shots.set_column(place, name, pa.array(values, pa.int32()))
    pq.write_table(shots, store / TABLES[1], write_page_checksum=True)
    files = {PART: entry} | {one: file_entry(store / one) for one in TABLES}
    tables = Tables(opened.videos, opened.every_shot, PartList.of({PART: entry}))
    content = {
        "schema_version": version,
        "settings": opened.settings,
        "limits": msgspec.to_builtins(opened.description.limits),
        "versions": {},
        "totals": msgspec.to_builtins(totals(tables, files)),
        "files": msgspec.to_builtins(files),
    }
    text = json.dumps([content["settings"], content["files"]], sort_keys=True)
    content["content_hash"] = hashlib.sha256(text.encode()).hexdigest()
    (store / "store.json").write_text(json.dumps(content, indent=2))
    if version > 1:
        (store / "copies").mkdir()
        for name in ("store.json", *TABLES):
            shutil.copyfile(store / name, store / "copies" / name)
    return content["content_hash"]


def as_version_1(store):
    """Rewrite a store as footage 0.1 wrote it."""
    return as_earlier(store, 1)
