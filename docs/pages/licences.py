"""docs/reference/licences.md: the licences of the packages that footage needs."""

import re
from importlib.metadata import Distribution

from packaging.utils import canonicalize_name

from release.dependencies import closure, project, requirements

HEAD = """# Third-party licences

Generated from the metadata of the installed packages by `python -m docs.generate`.

footage itself is under Apache-2.0. Installing it also installs these packages, each under its own
licence. The wheels of PyAV contain FFmpeg's libraries with their own licences. Builds of torch for
CUDA also install Triton and NVIDIA's libraries, the latter under NVIDIA's terms.

| package | licence |
| --- | --- |
"""
OPTIONAL = """
## Optional packages

Packages that extras name. A dash marks a package that the developers' environment does not contain.

| extra | package | licence |
| --- | --- | --- |
"""
MOST_LETTERS = 60


def page() -> str:
    """Render the page."""
    needed, _ = closure(requirements(""))
    pinned, _ = closure(requirements("", "dev"))
    optional = [
        (extra, name)
        for extra in project()
        if extra not in ("", "dev")
        for name in sorted({canonicalize_name(one.name) for one in requirements(extra)})
    ]
    return "".join(
        [
            HEAD,
            *(f"| {name} | {licence(needed[name])} |\n" for name in needed if is_listed(name)),
            OPTIONAL,
            *(
                f"| `{extra}` | {name} | {licence(pinned[name]) if name in pinned else '-'} |\n"
                for extra, name in optional
            ),
        ]
    )


def is_listed(name: str) -> bool:
    """Whether the page lists a package; those that only some builds of torch need are not."""
    return not re.match(r"nvidia-|cuda-|triton$|setuptools$", name)


def licence(package: Distribution) -> str:
    """Return the licence that a package declares: an expression, classifiers or a line of text."""
    metadata = package.metadata
    expression = metadata.get("License-Expression")
    named = [
        text.rpartition(" :: ")[2].removesuffix(" License")
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    text = (metadata.get("License") or "").strip()
    return expression or ", ".join(named) or text.partition("\n")[0][:MOST_LETTERS]
