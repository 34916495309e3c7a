"""Damaged and hostile variants of a JSON document, for the tests of everything that reads one."""

import copy
import json
import random

HUGE = 10**400
DEEP = 20_000


def places(value, path=()):
    """Every place in a JSON value, as a path of keys, without the top."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))


def replaced(value, path, new):
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return changed


def removed(value, path):
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return changed


def malformed(text):
    """Variants (name, bytes) that are not JSON objects at all, or are hostile as JSON."""
    data = text.encode()
    yield "empty", b""
    yield "cut short", data[: len(data) // 2]
    yield "not UTF-8", data[:-2] + b"\xff\xfe" + data[-2:]
    yield "zero bytes", bytes(len(data))
    yield "nested", b"[" * DEEP
    yield "nested and closed", b"[" * DEEP + b"]" * DEEP
    for other in (b"null", b"[]", b"{}", b"3", b'"text"', b"[null]", b"true"):
        yield other.decode(), other


def hostile_values(old):
    """Values of another type or size than `old`, as JSON text."""
    yield "null", "null"
    yield "a list", "[[]]"
    yield "an object", '{"unexpected": {}}'
    yield "NaN", "NaN"
    yield "infinite", "1e999"
    yield "a huge number", str(HUGE)
    yield "a lone surrogate", '"\\ud800"'
    yield "nested", "[" * DEEP + "]" * DEEP
    if not isinstance(old, str):
        yield "text", '"banana"'
    if not isinstance(old, bool):
        yield "true", "true"
    if not isinstance(old, float):
        yield "a fraction", "0.5"
    if isinstance(old, int | float) and not isinstance(old, bool):
        yield "negative", "-7"


def mutations(value, skip=()):
    """Variants (name, bytes) of a JSON object: each place missing or replaced by hostile values.

    Args:
        value: The sound document.
        skip: Paths, as tuples of keys, that may hold anything or be absent.
    """
    yield from malformed(json.dumps(value))
    marker = "@@MARKER@@"
    for path in places(value):
        if any(path[: len(one)] == one for one in skip):
            continue
        name = ".".join(map(str, path))
        yield f"{name} missing", json.dumps(removed(value, path)).encode()
        old = value
        for key in path:
            old = old[key]
        text = json.dumps(replaced(value, path, marker))
        for what, new in hostile_values(old):
            yield f"{name}: {what}", text.replace(json.dumps(marker), new).encode()


def bit_flips(data, count, seed=0):
    """Variants (place, bytes) of a file with one bit flipped, at reproducible random places."""
    draw = random.Random(seed)
    for _ in range(count):
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        yield (place, bit), bytes(flipped)


def states(written, values):
    """Whether what was read has each of the given values; objects may leave keys out."""
    if isinstance(written, dict) and isinstance(values, dict):
        return all(states(written[key], value) for key, value in values.items())
    return written == values and isinstance(written, bool) == isinstance(values, bool)
