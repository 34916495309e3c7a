"""Frame stores in the format of earlier versions."""

import hashlib
import json
import shutil

import msgspec
import pyarrow.parquet as pq

from footage.store.description import file_entry
from footage.store.frames import FramesFile, FramesWriter
from footage.store.reader import Store
from footage.store.tables import totals


def as_version_1(store):
    """Rewrite a store as footage 0.1 wrote it: without checksums, copies and new columns."""
    opened = Store.open(store)
    name = "frames/part-00000.parquet"
    part = store / name
    with FramesFile.open(part) as file:
        groups = [file.file.read_row_group(one) for one in range(file.file.num_row_groups)]
    writer = FramesWriter(part, version=1)
    for group in groups:
        writer.write(group)
    writer.finish()
    videos = opened.videos.drop_columns(["mirrored"])
    pq.write_table(videos, store / "videos.parquet")
    files = {one: file_entry(store / one) for one in ("videos.parquet", "shots.parquet", name)}
    content = {
        "schema_version": 1,
        "settings": opened.settings,
        "limits": msgspec.to_builtins(opened.description.limits),
        "versions": {},
        "totals": msgspec.to_builtins(totals(videos, files)),
        "files": {one: {"num_bytes": e.num_bytes, "sha256": e.sha256} for one, e in files.items()},
    }
    text = json.dumps([content["settings"], content["files"]], sort_keys=True)
    content["content_hash"] = hashlib.sha256(text.encode()).hexdigest()
    (store / "store.json").write_text(json.dumps(content, indent=2))
    shutil.rmtree(store / "copies")
    return content["content_hash"]
