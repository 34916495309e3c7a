"""An image can affect only the process that decodes it."""

import dataclasses
import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage.images import confined, limits
from footage.images.confined import ConfinedDecoders, Untrusted
from footage.images.decode import read_image
from footage.images.limits import ImageError
from footage.images.opening import open_one, opened
from footage.images.resize import resized, stretched
from footage.sandbox.messages import Confinement
from tests.images.test_limits import BOMBS, FORMS, form

SHORT = Confinement(memory_bytes=2**31, cpu_seconds=1, wall_seconds=20.0, silent_seconds=20.0)


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(number, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, kind, **options)
    return file.getvalue()


def children():
    return set(Path("/proc/thread-self/children").read_text().split())


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(scope="module")
def decoders():
    with ConfinedDecoders() as decoders:
        yield decoders


@pytest.fixture
def victim():
    with ConfinedDecoders("tests.images.hostile:answer", SHORT) as decoders:
        yield decoders


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_every_format_gives_the_pixels_that_it_gives_here(decoders, tmp_path, name):
    (tmp_path / "a").write_bytes(form(name, 320, 160)[0])
    whole = read_image(tmp_path / "a")
    (squares,) = decoders.squares([tmp_path / "a"], [16, 400])
    np.testing.assert_array_equal(squares[16], resized(whole, 16))
    np.testing.assert_array_equal(squares[400], resized(whole, 400))
    (squares,) = decoders.squares([tmp_path / "a"], [24], "linear")
    np.testing.assert_array_equal(squares[24], stretched(whole, 24))
    (pictures,) = decoders.decode([Untrusted("a", (tmp_path / "a").read_bytes())])
    np.testing.assert_array_equal(pictures[0], whole)


def test_many_files_come_in_their_order_with_a_reason_for_each_bad_one(decoders, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(number)[: 60 if number % 11 == 3 else None])
    paths[5].unlink()
    os.mkfifo(paths[5])
    paths[6].unlink()
    before = descriptors()
    found = decoders.squares(paths, [8])
    assert descriptors() == before
    for number, (path, each) in enumerate(zip(paths, found, strict=True)):
        if number == 5:
            assert each.message == f"{path} is not a regular file"
        elif number == 6:
            assert each.message == f"{path} cannot be opened: No such file or directory"
        elif number % 11 == 3:
            assert each.message.startswith(f"{path} is damaged: ")
        else:
            np.testing.assert_array_equal(each[8], resized(picture(number), 8))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_with_their_reason_and_do_not_cost_the_process(decoders, name):
    decoders.decode([Untrusted("first", encoded(0))])
    before = children()
    (found,) = decoders.decode([Untrusted("bomb.tif", BOMBS[name][0])])
    assert isinstance(found, ImageError)
    assert found.message.startswith("bomb.tif ")
    assert children() == before


def test_pictures_that_do_not_fit_into_one_memory_file_come_one_by_one(decoders):
    white = io.BytesIO()
    Image.new("L", (7_000, 7_000), 255).save(white, "PNG", compress_level=1)
    found = decoders.decode([Untrusted(name, white.getvalue()) for name in "abc"])
    for (each,) in found:
        assert each.shape == (7_000, 7_000, 3)
        assert (each[::999, ::999] == 255).all()


def test_nothing_that_a_decoder_has_to_remark_reaches_the_terminal(tmp_path):
    """libtiff and Pillow's loggers write to the standard error stream."""
    Image.fromarray(picture(0)).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    for number in range(8, len(data), 7):
        damaged = data.copy()
        damaged[number] ^= 0x55
        (tmp_path / f"{number}.tif").write_bytes(damaged)
    program = (
        "import sys; from pathlib import Path; from footage.images.confined import shared\n"
        "print(len(shared().squares(sorted(Path(sys.argv[1]).iterdir()), [8])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 200
    assert done.stderr == ""


# --- a decoder that was taken over --------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (b"crash", r"the decoder crashed \(SIGABRT\)"),
        (b"burn", "decoding took more than 1 s of CPU time"),
        (b"allocate", "decoding needs more than 2147483648 bytes"),
        (b"shrink", "PermissionError: .*Operation not permitted"),
        (b"nothing", "received an invalid message"),
        (b"text", "received an invalid message"),
        (b"nested", "received an invalid message"),
        (b"none", "received answers for a different number of images"),
        (b"surplus", "received answers for a different number of images"),
        (b"large", "received pictures of a different size"),
        (b"larger", "received pictures of a different size"),
        (b"negative", "received pictures of a different size"),
        (b"float", "received an invalid message"),
        (b"other", "received pictures of a different size"),
        (b"several", "received pictures of a different size"),
    ],
)
def test_a_hostile_image_costs_itself_and_the_others_come_as_they_are(
    victim, tmp_path, order, reason
):
    contents = [encoded(0), order, encoded(2)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
    before = descriptors()
    first, bad, last = victim.squares([tmp_path / f"{number}" for number in range(3)], [8])
    np.testing.assert_array_equal(first[8], resized(picture(0), 8))
    np.testing.assert_array_equal(last[8], resized(picture(2), 8))
    assert isinstance(bad, ImageError)
    assert bad.message.startswith(f"{tmp_path / '1'} cannot be decoded: ")
    with pytest.raises(ImageError, match=reason):
        raise bad
    assert descriptors() <= before + 1  # the connection to the newest process


def test_an_image_that_puts_its_decoder_to_sleep_is_given_up():
    quick = dataclasses.replace(SHORT, wall_seconds=1.0)
    with ConfinedDecoders("tests.images.hostile:answer", quick) as victim:
        (found,) = victim.decode([Untrusted("a", b"sleep")], [8])
    assert found.message == "a cannot be decoded: decoding took more than 1 s"


def test_a_reason_from_a_hostile_decoder_is_short_plain_text(victim):
    (found,) = victim.decode([Untrusted("a.png", b"reason")])
    assert found.message.startswith("a.png [2Jxxx")
    assert len(found.message) < 1_100
    assert found.message.isprintable()


def test_a_whole_picture_of_a_hostile_decoder_is_no_larger_than_its_memory_file(victim):
    found = [victim.decode([Untrusted("a", order)])[0] for order in (b"large", b"larger", b"none")]
    assert all(isinstance(each, ImageError) for each in found)


def test_a_decoder_that_falsifies_an_answer_can_only_change_pixels(victim):
    (found,) = victim.decode([Untrusted("a", b"scribble")], [8])
    assert found[0].shape == (8, 8, 3)
    assert found[0].reshape(-1)[:4].tolist() == [97, 98, 99, 0]


# --- processes ----------------------------------------------------------------------------------


def test_each_thread_has_a_process_of_its_own_and_closing_ends_them_all():
    decoders = ConfinedDecoders()
    processes = []

    def work():
        decoders.decode([Untrusted("a", encoded(0))])
        processes.append(children())
        barrier.wait(60)

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    numbers = [int(number) for found in processes for number in found]
    for thread in threads:
        thread.join()
    decoders.close()
    assert len(set(numbers)) == 2
    assert not any(Path(f"/proc/{number}").exists() for number in numbers)


def test_a_killed_command_leaves_no_decoder_behind():
    program = (
        "import io, time; from PIL import Image; from pathlib import Path\n"
        "from footage.images.confined import Untrusted, shared\n"
        "file = io.BytesIO(); Image.new('L', (4, 4)).save(file, 'PNG')\n"
        "shared().decode([Untrusted('a', file.getvalue())])\n"
        "print(Path('/proc/thread-self/children').read_text(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 50
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{number}").exists()


# --- training -----------------------------------------------------------------------------------


def test_plain_jpegs_are_opened_here_and_everything_else_confined_in_order(monkeypatch):
    sent = []
    with ConfinedDecoders() as decoders:
        decode = decoders.decode
        monkeypatch.setattr(
            decoders, "decode", lambda images, *rest: sent.extend(images) or decode(images, *rest)
        )
        monkeypatch.setattr(confined, "shared", lambda: decoders)
        kinds = ["JPEG", "PNG", "WEBP", "JPEG", "TIFF"] * 4
        images = [(f"{n}", encoded(n, kind)) for n, kind in enumerate(kinds)]
        found = [each.pixels() for each in opened(iter(images))]
    assert [each.name for each in sent] == [
        name for name, data in images if data[:2] != b"\xff\xd8"
    ]
    for number, pixels in enumerate(found):
        if kinds[number] in ("PNG", "TIFF"):
            np.testing.assert_array_equal(pixels, picture(number))
        assert pixels.shape == (20, 30, 3)


def test_an_image_that_cannot_be_opened_is_reported_when_its_turn_comes():
    images = opened([("a", encoded(0)), ("b.png", encoded(1)[:70]), ("c", encoded(2))])
    np.testing.assert_array_equal(next(images).pixels(), picture(0))
    with pytest.raises(ImageError, match=r"^b\.png is damaged"):
        next(images)


def test_a_jpeg_that_only_pillow_can_read_is_decoded_confined():
    data = encoded(0, "JPEG")
    extraneous = data[:20] + b"\x00\x00" + data[20:]
    np.testing.assert_array_equal(open_one("a", extraneous).pixels(), open_one("a", data).pixels())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bytes_per_pixel"), [("png", 7), ("jpeg, progressive", 9), ("webp", 20)]
)
def test_the_largest_image_of_a_format_fits_into_a_confined_process(
    tmp_path, name, bytes_per_pixel
):
    pixels = min(limits.MAX_PIXELS, (limits.MAX_BYTES - limits.OVERHEAD) // bytes_per_pixel)
    side = int(pixels**0.5) // 16 * 16
    (tmp_path / "a").write_bytes(form(name, side, side)[0])
    with ConfinedDecoders() as decoders:
        for _ in range(3):  # memory that a decode leaves behind must not hurt the next
            (found,) = decoders.squares([tmp_path / "a"], [8])
            assert not isinstance(found, ImageError)
        (found,) = decoders.decode([Untrusted("a", (tmp_path / "a").read_bytes())])
        assert found[0].shape == (side, side, 3)
