"""Checks that the files in app/web/vendor are those of the pinned packages."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = Path(__file__).parent / "node_modules"
VENDOR = ROOT / "app/web/vendor"
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
SOURCES = {
    "swagger-ui": PACKAGES / "swagger-ui-dist",
    "redoc": PACKAGES / "redoc",
    "redoc/redoc.standalone.js": PACKAGES / "redoc/bundles",
    "redoc/redoc.standalone.js.LICENSE.txt": PACKAGES / "redoc/bundles",
}
FILES = sorted(str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file())


@pytest.mark.skipif(not PACKAGES.exists(), reason="requires the packages: run `make test-openapi`")
@pytest.mark.parametrize("name", FILES)
def test_a_vendored_file_is_that_of_its_package(name: str):
    """If it fails after an upgrade of the packages, `make vendor` copies the files."""
    source = SOURCES.get(name, SOURCES[name.partition("/")[0]]) / Path(name).name
    assert (VENDOR / name).read_bytes() == source.read_bytes().replace(REDOC_LOGO, b"data:,")


@pytest.mark.parametrize("package", ["swagger-ui", "redoc"])
def test_vendored_packages_have_their_license(package: str):
    assert f"{package}/LICENSE" in FILES
