"""The pages that are written out of the code say what the code says."""

import re

import pytest

from docs import generate
from docs.pages import paper_map, promises
from docs.pages.deviations import LIBRARY, deviations
from docs.pages.paper_row import MARK
from docs.pages.references import link
from footage.objectives.losses.catalogue import functions
from footage.recipes.methods import METHODS, RECIPES
from footage.recipes.scales import SCALES

FUNCTIONS = functions()

ROWS = [row for rows in paper_map.SECTIONS.values() for row in rows]
PLACES = sorted({place for row in ROWS for place in row.places.split()})


@pytest.mark.parametrize("name", generate.PAGES)
def test_every_generated_page_is_up_to_date(name):
    written = (generate.ROOT / name).read_text("utf-8")
    assert generate.PAGES[name]() == written, "run: python -m docs.generate"


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_the_paper_map_names_is_a_file_or_a_recipe(place):
    target = re.fullmatch(r"\[`.+`\]\(([^)]+)\)", link(place))[1]
    if target.startswith("../reference/recipes.md#"):
        assert target.partition("#")[2] in {*METHODS, *SCALES}
    else:
        assert (generate.ROOT / "docs" / "background" / target).is_file()


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("objectives.losses", "is not a reference"),
        ("objectives.losses future_shot_nce", "is not a reference"),
        ("lossless:future_shot_nce", "No module named 'footage.lossless'"),
        ("objectives.losses.future_shots:past_shot_nce", "has no attribute 'past_shot_nce'"),
        ("objectives.losses.nce:check_negatives", "at home in footage.objectives.positives"),
        ("objectives.config:FutureConfig.colour", "has no attribute 'colour'"),
        ("objectives.levels.video:FutureLevel.backward", "has no attribute 'backward'"),
        ("objectives.config:FutureConfig.loss['hinge']", "loss may be nce, mse"),
        ("objectives.config:FutureConfig.steps['nce']", "steps may be "),
        ("recipes.methods:METHODS['vivi-ex5']", "has no 'vivi-ex5'"),
        ("objectives.losses.future_shots:future_shot_nce['x']", "has no 'x'"),
    ],
)
def test_a_place_that_is_gone_is_refused(place, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        link(place)


def test_a_row_whose_place_is_gone_breaks_the_page(monkeypatch):
    row = ROWS[0]._replace(places="objectives.config:FutureConfig.hidden_size")
    monkeypatch.setitem(paper_map.SECTIONS, "The hierarchy", [row])
    with pytest.raises(ValueError, match="hidden_size"):
        paper_map.page()


def test_a_field_is_shown_with_its_default_and_a_choice_with_its_name():
    assert "`FutureConfig.hidden_dim = 256`" in link("objectives.config:FutureConfig.hidden_dim")
    assert "`FutureConfig.loss = mse`" in link("objectives.config:FutureConfig.loss['mse']")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.piece[:40])
def test_every_piece_says_how_it_is_known(row):
    assert MARK.fullmatch(row.mark)
    assert "|" not in "".join(row)


@pytest.mark.parametrize("mark", ["", "certain", "recalled 0.5", "ours, recalled"])
def test_no_other_mark_is_allowed(mark):
    assert not MARK.fullmatch(mark)


def test_every_method_is_in_the_map():
    assert {f"recipes.methods:METHODS['{method}']" for method in METHODS} <= set(PLACES)


def test_every_loss_of_the_paper_is_in_the_map():
    places = {place.rpartition(":")[2] for place in PLACES if ".losses." in place}
    of_paper = {name for name, loss in FUNCTIONS.items() if "Not part of VIVI" not in loss.__doc__}
    missing = of_paper - places
    assert not missing, (
        "add a row in docs/pages/paper_method.py and run `python -m docs.generate`,"
        " or, if the loss is not one of the paper, state 'Not part of VIVI' in its Source"
    )


def test_every_deviation_of_the_code_is_in_the_map():
    confessed = {
        path.relative_to(LIBRARY.parent).as_posix(): found
        for path in LIBRARY.rglob("*.py")
        if (found := len(re.findall(r"Deviation:\s", path.read_text("utf-8"))))
    }
    listed = [deviation.path for deviation in deviations()]
    assert {path: listed.count(path) for path in set(listed)} == confessed
    page = paper_map.page()
    for deviation in deviations():
        assert deviation.text in page


def test_every_recipe_has_its_line_and_its_command():
    page = generate.PAGES["docs/reference/recipes.md"]()
    for name in RECIPES:
        assert f"| `{name}` |" in page
        assert re.search(rf"footage train {name} --", page)


PROMISED = [test for section in promises.SECTIONS.values() for one in section for test in one.tests]


@pytest.mark.parametrize("test", PROMISED)
def test_every_test_that_a_promise_names_exists(test):
    path, _, name = test.partition("::")
    source = (generate.ROOT / path).read_text("utf-8")
    assert re.search(rf"^def {name}\(", source, re.MULTILINE), test
