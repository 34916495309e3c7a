"""Read what the library of Weights & Biases wrote offline, without its private modules."""

import json

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 2**15, 7
FULL, LAST = 1, 4


def records(path):
    """Yield the records of a .wandb file, which has the format of LevelDB's log files."""
    data, position, parts = path.read_bytes(), HEADER, b""
    while position + HEADER <= len(data):
        room = BLOCK - position % BLOCK
        if room < HEADER:
            position += room
            continue
        length, kind = (
            int.from_bytes(data[position + 4 : position + 6], "little"),
            data[position + 6],
        )
        parts += data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (FULL, LAST):
            yield Record.FromString(parts)
            parts = b""


def read(path):
    """Return the run's id, its configuration, history rows by step, and summary."""
    found = {"id": "", "config": {}, "history": {}, "summary": {}}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["id"], found["project"] = record.run.run_id, record.run.project
            found["config"] |= _items(record.run.config.update)
        elif kind == "config":
            found["config"] |= _items(record.config.update)
        elif kind == "history":
            row = found["history"].setdefault(record.history.step.num, {})
            row |= _items(record.history.item)
        elif kind == "summary":
            found["summary"] |= _items(record.summary.update)
    return found


def _items(items):
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
