"""The wheel is what a release's users get: its contents, its metadata, its versions, its image."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.version import Version

from majobctl import __version__

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = ROOT / "examples" / "ci" / "Containerfile"
NO_CODE = {
    "py.typed",
    *(f"cli/templates/{name}" for name in ("cloud.toml", "example.toml", "majobctl.toml")),
    *(f"cli/templates/{name}" for name in ("gitattributes", "gitignore")),
    *(f"cli/templates/completion.{name}" for name in ("bash", "fish", "zsh")),
    "operations/assumptions.toml",
    *(f"render/page/{name}" for name in ("filters.html", "plan.css", "plan.html", "plan.js")),
}
"""What the package has beside its modules."""


def built(source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", str(folder)], cwd=source, check=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"majobctl-{__version__}.dist-info"
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("majobctl/**/*.py")}
    others = {f"majobctl/{name}" for name in NO_CODE}
    assert names == modules | others | {f"{info}/{name}" for name in about}


def test_the_metadata_is_valid_and_names_no_made_up_host(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"majobctl-{__version__}.dist-info/METADATA")
    metadata = Metadata.from_email(text, validate=True)
    assert str(metadata.version) == __version__
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert [url for url in (metadata.project_urls or {}).values() if "example" in url] == []


def test_the_version_is_the_newest_of_the_changelog_or_one_in_development() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(
        r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d)(?: \[YANKED\])?)?$", changelog, re.MULTILINE
    )
    released = [name for name, date in headings if date]
    assert released == sorted(released, key=Version, reverse=True)
    assert [name for name, date in headings if not date] in ([], ["Unreleased"])
    newest, here = Version(released[0]), Version(__version__)
    assert here == newest or (here.is_devrelease and here > newest)
    text = (CONTAINERFILE.parent / "requirements-ci.in").read_text(encoding="utf-8")
    assert set(re.findall(r"\d+\.\d+\.\d+", text)) == {str(newest)}


@pytest.mark.skipif(shutil.which("git") is None, reason="a release is a tag")
def test_the_commands_of_a_release_make_the_wheel_that_a_checkout_makes(
    tmp_path: Path, wheel: Path
) -> None:
    for name in ("majobctl", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    page = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    commands, *_ = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (named,) = set(re.findall(r"\d+\.\d+\.\d+", commands))
    commands = commands.replace(named, __version__)
    assert commands.startswith('git commit --all --message "Version ')
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    author = {
        f"GIT_{who}_{key}": "x" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    ended = subprocess.run(
        ["sh", "-euc", f"git init --quiet\ngit add --all\n: >majobctl/mine.py\n{commands}"],
        cwd=tmp_path,
        env={**os.environ, **author, "PATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert ended.stdout.endswith(f"{digest}  build/dist/{wheel.name}\n")


def steps_of_the_image() -> list[tuple[str, str]]:
    """Each instruction of the container file with the rest of its line."""
    text = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_works_as_an_ordinary_user_and_is_a_few_lines() -> None:
    steps = steps_of_the_image()
    assert [word for word, _ in steps] == ["FROM", "COPY", "RUN", "USER", "RUN"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", steps[3][1])
    assert " --require-hashes --only-binary :all: " in steps[2][1]


@pytest.mark.slow
@pytest.mark.parametrize("is_the_wheel", [True, False], ids=["its hash", "another hash"])
def test_the_commands_of_the_image_install_what_has_its_hash(
    tmp_path: Path, wheel: Path, is_the_wheel: bool
) -> None:
    """In place of the image, a virtual environment; what the wheel needs is there already, since
    nothing asks an index here."""
    venv.create(tmp_path / "image", with_pip=True)
    paths = {"base": str(tmp_path / "image"), "platbase": str(tmp_path / "image")}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    (packages / "there.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    digest = hashlib.sha256(wheel.read_bytes() if is_the_wheel else b"other").hexdigest()
    requirement = f"majobctl @ {wheel.as_uri()} --hash=sha256:{digest}\n"
    (tmp_path / "requirements-ci.txt").write_text(requirement)
    (tmp_path / "tmp").mkdir()
    verbs = {"COPY": "cp", "RUN": ""}
    lines = [f"{verbs[word]} {rest}" for word, rest in steps_of_the_image() if word in verbs]
    bin_ = Path(sysconfig.get_path("scripts", "venv", paths))
    ended = subprocess.run(
        ["sh", "-euc", "\n".join(lines).replace("/tmp/", f"{tmp_path}/tmp/")],
        cwd=tmp_path,
        env={
            **{"PATH": os.pathsep.join([str(bin_), os.environ["PATH"]]), "HOME": str(tmp_path)},
            **{"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"},
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode == 0) is is_the_wheel, ended
    if is_the_wheel:
        assert (packages / "majobctl" / "py.typed").is_file()
        assert ended.stdout.endswith(f"majobctl {__version__}\n")
    else:
        assert "DO NOT MATCH THE HASHES" in ended.stderr
