"""The report of a run that was really trained, read as text and in a browser."""

import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import simplejpeg

from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.commands.profile import ProfileConfig, profile
from footage.commands.report import ReportConfig, report
from footage.commands.train import train
from footage.errors import CheckpointError, ConfigError
from footage.evaluation.results import write_lines
from footage.models import load as models
from footage.objectives.objective import Objective
from footage.recipes import methods
from footage.reporting.inputs import gather
from footage.reporting.retrieval import answers, gallery
from footage.reporting.sections.training import level_title
from footage.reporting.thumbnails import contact_sheet
from footage.runs import layout
from footage.store.reader import Store
from footage.training.config import ComputeConfig
from tests.evaluation.rows import suite
from tests.support import synthetic
from tests.support.labelled_shapes import draw_shapes
from tests.support.stores import write_store

HOSTILE = "<img src=x onerror=alert(1)>\"'&</script></style><script>alert(2)</script>.mp4"
SMALL = ReportConfig(videos=8, frames_per_video=4, queries=3, searched_frames=20)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight videos of two shots, one of them with a name that is an attack."""
    path = tmp_path_factory.mktemp("store")
    videos = []
    for video in range(8):
        shots = [
            [
                simplejpeg.encode_jpeg(image, quality=90)
                for image in list(synthetic.scene(100 * video + shot, 4))[::12]
            ]
            for shot in range(2)
        ]
        videos.append((f"{HOSTILE if video == 3 else f'video{video}.mp4'}#{video:012x}", shots))
    return write_store(path, videos)


@pytest.fixture(scope="module")
def run(hostile_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve real steps with one evaluation."""
    base = methods.recipe("vivi-ex4-tiny")
    config = dataclasses.replace(
        base,
        steps=12,
        backbone=dataclasses.replace(base.backbone, architecture="test_resnet"),
        sampling=dataclasses.replace(base.sampling, videos_per_batch=2, shots_per_video=2),
        objective=dataclasses.replace(
            base.objective, future=dataclasses.replace(base.objective.future, steps=1)
        ),
        augment=dataclasses.replace(base.augment, size=32),
        metrics_every=4,
        checkpoint_every=12,
        held_out_fraction=0.3,
        compute=ComputeConfig(workers=1, threads=1),
    )
    out = tmp_path_factory.mktemp("runs") / "first"
    train(config, store=hostile_store.path, out=out, recipe="vivi-ex4-tiny")
    shapes = draw_shapes(tmp_path_factory.mktemp("labelled") / "shapes")
    evaluate(str(out), labels=[shapes], config=EvaluateConfig())
    return out


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report([run], out=tmp_path_factory.mktemp("page") / "report.html", config=SMALL).path


class _Reader(html.parser.HTMLParser):
    """Elements and text as a browser's parser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader


def test_every_level_of_every_recipe_has_a_title():
    for name in methods.METHODS:
        objective = Objective(8, methods.recipe(name).objective, 4, num_classes=3, teacher_dim=5)
        for level in objective.chance((4, 4, 4, 4)):
            assert level_title(level)[0].isupper(), level


def test_the_page_has_every_section_with_its_content(page: Path) -> None:
    text = page.read_text("utf-8")
    for key in ("evaluation", "curves", "retrieval", "shots", "setup"):
        assert f'<section id="{key}">' in text
    words = " ".join(_read(page).texts)
    for expected in (
        "“first”: self-supervised training on 6 videos",
        "Trained for 12 steps.",
        "same network, untrained",
        "shapes",
        "Video level: shot order",
        "Effective rank (RankMe)",
        "nearest for the trained network",
        "6 of 6 training videos, evenly sampled",
        "The store, including held-out videos, contains 16 shots",
        "random weights, seed 0",
    ):
        assert expected in words


def test_the_page_needs_nothing_from_outside_and_runs_nothing(page: Path) -> None:
    reader = _read(page)
    for tag_name, attributes in reader.elements:
        assert tag_name not in ("script", "iframe", "object", "embed", "link", "base", "form")
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/jpeg;base64,")
        assert not {"srcset", "action", "xlink:href"} & set(attributes)
    keys = {attributes.get("id") for _, attributes in reader.elements}
    links = [attributes["href"] for _, attributes in reader.elements if "href" in attributes]
    assert len(links) == len(set(links)) == 6
    assert all(link and link[0] == "#" and link[1:] in keys for link in links)
    assert "url(" not in page.read_text("utf-8")
    assert page.stat().st_size < 6e6


def test_a_hostile_file_name_is_shown_and_does_nothing(page: Path) -> None:
    reader = _read(page)
    assert HOSTILE in reader.texts
    images = [attributes for name, attributes in reader.elements if name == "img"]
    assert len(images) > 10
    assert all(attributes["alt"] for attributes in images)


def test_every_chart_can_be_read_without_being_seen(page: Path) -> None:
    charts = [
        attributes["aria-label"]
        for name, attributes in _read(page).elements
        if name == "svg" and attributes.get("role") == "img"
    ]
    assert any(label and "at step 12" in label for label in charts)
    assert any(label and "same network, untrained" in label for label in charts)


def _chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    switches = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
    ]
    return subprocess.run(
        [CHROMIUM, *switches, f"--user-data-dir={tmp_path / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_a_browser_shows_the_page_without_a_complaint(page: Path, tmp_path: Path) -> None:
    shown = _chromium(tmp_path, "--dump-dom", page.as_uri())
    assert "CONSOLE" not in shown.stderr
    assert "Training curves" in shown.stdout
    assert "<script" not in shown.stdout
    control = tmp_path / "control.html"
    outside = '<img src="https://example.com/x.png" alt="">'
    control.write_text(page.read_text("utf-8").replace("<main>", f"<main>{outside}", 1), "utf-8")
    assert "CONSOLE" in _chromium(tmp_path, "--dump-dom", control.as_uri()).stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_not_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    probe = "<script>document.title = 'width ' + document.documentElement.scrollWidth</script>"
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    measured = tmp_path / "measured.html"
    measured.write_text(text.replace("</body>", f"{probe}</body>"), "utf-8")
    # A headless window cannot be narrower than 500 px, a frame in it can.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="{measured.as_uri()}" width="{width}" height="900" '
        'style="border:0"></iframe><script>f.onload = () => '
        "document.title = f.contentDocument.title</script>"
    )
    shown = _chromium(tmp_path, "--allow-file-access-from-files", "--dump-dom", frame.as_uri())
    found = re.search(r"<title>width (\d+)</title>", shown.stdout)
    assert found is not None
    assert int(found[1]) <= width


def test_several_runs_share_their_axes_and_keep_their_names(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    shutil.copytree(run, other)
    words = " ".join(_read(report([run, other], out=tmp_path / "r.html", config=SMALL).path).texts)
    assert "2 runs: self-supervised training on 6 videos" in words
    assert words.count("Trained for 12 steps.") == 2
    assert "second" in words


def test_without_the_store_the_page_says_so_and_shows_the_rest(run: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    shutil.copytree(run, lonely)
    record = layout.read_record(lonely)
    (lonely / "run.json").write_text(json.dumps(record | {"store": str(tmp_path / "gone")}))
    words = " ".join(_read(report([lonely], out=tmp_path / "r.html").path).texts)
    assert "The store of lonely cannot be read" in words
    assert "Trained for 12 steps." in words


def test_a_run_without_steps_or_evaluations_still_gives_a_page(run: Path, tmp_path: Path) -> None:
    young = tmp_path / "young"
    young.mkdir()
    shutil.copy(run / "run.json", young)
    words = " ".join(_read(report([young], out=tmp_path / "r.html", config=SMALL).path).texts)
    assert "No steps have been recorded" in words
    assert "No run has been evaluated yet" in words


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a run"):
        report([tmp_path], out=tmp_path / "r.html")
    with pytest.raises(ConfigError, match="no run was given"):
        report([], out=tmp_path / "r.html")
    with pytest.raises(ConfigError, match="queries must be at least 1"):
        ReportConfig(queries=0)


def test_other_models_that_were_judged_on_a_suite_stand_beside_the_run(
    run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "first")
    write_lines(copy / "evaluations" / "vtab-1k" / "lightweight", suite(model="runs/first"))
    write_lines(tmp_path / "other" / "lightweight", suite(model="resnet50.a1_in1k"))
    written = report([copy, tmp_path / "other"], out=tmp_path / "r.html", config=SMALL).path
    words = " ".join(" ".join(_read(written).texts).split())
    assert "task group chance first resnet50.a1_in1k deviations" in words
    with pytest.raises(ConfigError, match="no run was given"):
        report([tmp_path / "other"], out=tmp_path / "r.html")


def test_profiles_are_shown_whether_they_lie_beside_the_run_or_in_it(
    run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "first")
    looked = ProfileConfig(scenes=2)
    for out in (tmp_path / "apart", copy / "profile"):
        profile([str(copy)], out=out, config=looked)
    inside = " ".join(_read(report([copy], out=tmp_path / "r.html", config=SMALL).path).texts)
    assert inside.count("Invariance profile") == 2  # in the contents and as a heading
    assert inside.count("Single-factor changes") == 1
    both = report([copy, tmp_path / "apart"], out=tmp_path / "r.html", config=SMALL).path
    assert " ".join(_read(both).texts).count("Single-factor changes") == 2
    with pytest.raises(ConfigError, match="no run was given"):
        report([tmp_path / "apart"], out=tmp_path / "r.html")
    (copy / "profile" / "profile.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as an invariance profile"):
        report([copy], out=tmp_path / "r.html", config=SMALL)


def test_answers_come_from_other_videos_the_nearest_first(run: Path, hostile_store: Store) -> None:
    held_out = gather([run])[0].record["held_out"]
    searched = gallery(hostile_store, held_out, num_queries=2, num_frames=16)
    for answer in answers(models.load(str(run)), searched, num_found=5):
        assert answer.query.video in held_out
        videos = [found.frame.video for found in answer.found]
        assert answer.query.video not in videos
        assert len(set(videos)) == len(videos) == 5
        similarities = [found.similarity for found in answer.found]
        assert similarities == sorted(similarities, reverse=True)


def test_the_contact_sheet_shows_shots_in_order_and_where_they_are_cut(
    hostile_store: Store,
) -> None:
    for video in contact_sheet(hostile_store, num_videos=4, frames_per_video=6):
        assert video.cuts == [10.0]
        assert [shot.shot for shot in video.shots] == [0, 1]
        times = [frame.seconds for shot in video.shots for frame in shot.frames]
        assert times == sorted(times)
        assert len(times) == 6
