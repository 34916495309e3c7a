"""Every attack of the list is attempted from inside a confined child."""

import ast
import contextlib
import fcntl
import os
import resource
import signal
import socket
import threading
from pathlib import Path

import pytest

from footage.errors import SandboxError
from footage.sandbox import landlock
from footage.sandbox.child import run_confined
from footage.sandbox.layers import (
    EMPTY_ROOT,
    LANDLOCK,
    LAYERS,
    NAMESPACES,
    NO_NEW_PRIVILEGES,
    SECCOMP,
)
from footage.sandbox.messages import Confinement
from tests.sandbox.attacks import ATTACKS, CANARY, Attack, Target

WORKED, REFUSED = b"W", b"R"
NEEDED = {EMPTY_ROOT: (NAMESPACES,)}
NEWEST_LANDLOCK = 6
"""The version that the table describes; older kernels stop less."""


def confinement(layers=LAYERS, **changes):
    return Confinement(
        memory_bytes=2**28,
        cpu_seconds=30,
        wall_seconds=120.0,
        silent_seconds=60.0,
        layers=tuple(layers),
        **changes,
    )


def fields_of_stat():
    text = Path("/proc/self/stat").read_text()
    return text[text.rindex(")") + 2 :].split()


@pytest.fixture
def target(tmp_path, monkeypatch):
    folder = tmp_path / "target"
    folder.mkdir()
    for name in ("secret", "input", "program", *"abcdfhi"):
        (folder / name).write_text(name)
    (folder / "program").chmod(0o755)
    (folder / "empty").mkdir()
    monkeypatch.setenv(CANARY, "1")
    begin, end = map(int, fields_of_stat()[47:49])
    name = f"footage-test-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        for family, address in (
            (socket.AF_UNIX, str(folder / "socket")),
            (socket.AF_UNIX, "\0" + name),
            (socket.AF_INET, ("127.0.0.1", 0)),
        ):
            server = stack.enter_context(socket.socket(family))
            server.bind(address)
            server.listen(64)
        port = server.getsockname()[1]
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", port))
        file = stack.enter_context((folder / "input").open("rb"))
        yield Target(folder, os.getpid(), port, name, file.fileno(), (begin, end - begin))


def attempt(attacks, target, layers):
    """The attacks that worked with some layers, and why others did not, by name."""
    results = {}

    def work(send):
        for attack in attacks:
            try:
                attack.attempt(target)
            except (OSError, MemoryError, ValueError) as error:  # resource raises ValueError
                send(REFUSED, f"{attack.name}\n{error!r}".encode())
            else:
                send(WORKED, f"{attack.name}\n".encode())

    def on_message(kind, content):
        name, _, reason = content.decode().partition("\n")
        results[name] = "" if kind == WORKED else reason

    sandbox = run_confined(work, on_message, confinement(layers), (target.input,))
    assert set(results) == {attack.name for attack in attacks}
    return {name for name, reason in results.items() if not reason}, results, sandbox


def snapshot(folder):
    return {
        path.name: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.iterdir()
    }


def test_every_attack_is_refused_by_all_layers_together(target):
    before = snapshot(target.folder)
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    received = []
    previous = signal.signal(signal.SIGURG, lambda *_: received.append(1))
    try:
        worked, results, sandbox = attempt(ATTACKS, target, LAYERS)
    finally:
        signal.signal(signal.SIGURG, previous)
    if not sandbox.missing:
        assert worked == set(), results
    else:  # what this machine lacks is reported; whatever another layer stops is stopped
        for attack in ATTACKS:
            if not attack.stopped_by or set(attack.stopped_by) & set(sandbox.active):
                assert attack.name not in worked
    assert snapshot(target.folder) == before
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == limits
    assert not received


def test_stacks_of_the_parents_threads_do_not_add_to_the_memory_of_a_child(target):
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait) for _ in range(80)]
    for thread in threads:
        thread.start()
    try:
        worked, _, _ = attempt(ATTACKS, target, LAYERS)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert "take more memory than allowed" not in worked


def layer_names():
    return sorted({layer for attack in ATTACKS for layer in attack.stopped_by})


@pytest.mark.parametrize("layer", layer_names())
def test_each_layer_alone_stops_what_the_table_says(target, layer):
    layers = (NO_NEW_PRIVILEGES, *NEEDED.get(layer, ()), layer)
    attacks = [attack for attack in ATTACKS if layer in attack.stopped_by]
    worked, results, sandbox = attempt(attacks, target, layers)
    if layer not in sandbox.active:
        pytest.skip(f"this machine has no {layer}: {sandbox.missing[layer]}")
    if layer == LANDLOCK and landlock.version() < NEWEST_LANDLOCK:
        pytest.skip("this kernel has an older Landlock, which stops less")
    assert worked == set(), results


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_works_without_any_layer(target, attack: Attack):
    """Otherwise the refusal would prove nothing."""
    if not attack.stopped_by:
        pytest.skip("refused by the way a child is started, not by a layer")
    worked, results, _ = attempt([attack], target, ())
    if not worked and "No such file" not in results[attack.name]:
        pytest.skip(f"not possible on this machine anyway: {results[attack.name]}")
    assert worked == {attack.name}


def sandbox_of(layers, **changes):
    return run_confined(lambda _: None, print, confinement(layers, **changes))


def test_the_version_of_landlock_is_named():
    sandbox = sandbox_of(LAYERS)
    if LANDLOCK in sandbox.active:
        assert f"Landlock version {landlock.version()}" in sandbox.lines()[0]


def test_layers_that_are_missing_are_named():
    sandbox = sandbox_of((NO_NEW_PRIVILEGES, EMPTY_ROOT))
    assert sandbox.active == (NO_NEW_PRIVILEGES,)
    assert sandbox.missing[EMPTY_ROOT] == "needs namespaces"
    assert "seccomp (not requested)" in sandbox.lines()[1]


def test_work_is_refused_where_a_required_layer_is_missing():
    done = []

    def work(send):
        send(b"D", b"")

    layers = tuple(layer for layer in LAYERS if layer != LANDLOCK)
    with pytest.raises(SandboxError, match=r"layers are missing .*: Landlock \(not requested\)"):
        run_confined(work, lambda *_: done.append(1), confinement(layers, require_all=True))
    assert not done


def test_landlock_that_the_kernel_lacks_is_reported(monkeypatch):
    monkeypatch.setattr(landlock, "_CREATE_RULESET", 999)
    sandbox = sandbox_of(LAYERS)
    assert LANDLOCK not in sandbox.active
    assert sandbox.missing[LANDLOCK] == "Function not implemented"
    assert SECCOMP in sandbox.active or SECCOMP in sandbox.missing


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_every_layer_works_without_privileges():
    """Run as the user nobody, because most users have no privileges."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            sandbox = sandbox_of(LAYERS)
            os.write(writing, repr((sandbox.active, sandbox.missing)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        active, missing = ast.literal_eval(answer.read())
    os.waitpid(process, 0)
    own = sandbox_of(LAYERS)
    assert set(own.active) - set(active) <= {NAMESPACES, EMPTY_ROOT}  # some forbid those to users
    assert set(active) | set(missing) == set(LAYERS)


def test_descriptors_are_closed_whatever_their_number():
    """A limit that was lowered after a descriptor was opened hides it from the usual loop."""
    with open(os.devnull, "rb") as file:
        high = fcntl.fcntl(file, fcntl.F_DUPFD, 900)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    answers = []

    def work(send):
        for descriptor in (*range(3, 1024), 5000):
            with contextlib.suppress(OSError):
                os.fstat(descriptor)
                send(b"D", str(descriptor).encode())

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        run_confined(work, lambda _, content: answers.append(int(content)), confinement())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(high)
    assert len(answers) == 1  # the pipe to the parent
