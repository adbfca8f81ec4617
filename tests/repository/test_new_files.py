"""New job files: where they may go, and that all of them are written, or none."""

from __future__ import annotations

import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.errors import MajobctlError
from majobctl.repository.authoring.new_files import NewFiles, Place, place_of_files
from majobctl.repository.settings.settings import Settings, read_settings
from tests.config_files import SETTINGS, write_files
from tests.strategies import toml_value


def settings(root: Path, *patterns: str) -> Settings:
    # A state in the repository would be a job file of "**"; one outside is not.
    files = f"[jobs]\nfiles = {toml_value(list(patterns))}\n" if patterns else ""
    files += '[state]\npath = "../majobctl.state.json"\n'
    found, problems = read_settings(write_files(root, {"majobctl.toml": SETTINGS + files}))
    assert problems == []
    return found


def place(root: Path, folder: str = "jobs/imported") -> Place:
    return Place(root / folder, folder)


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_what_is_kept_stays(tmp_path: Path) -> None:
    with NewFiles(place(tmp_path)) as files:
        assert files.write("a", "x = 1\n") == "a.toml"
        files.keep()
    assert names(tmp_path) == ["jobs", "jobs/imported", "jobs/imported/a.toml"]
    assert (tmp_path / "jobs/imported/a.toml").read_bytes() == b"x = 1\n"


def test_what_is_not_kept_goes_and_with_it_the_folders_that_were_made(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    with NewFiles(place(tmp_path, "jobs/a/b")) as files:
        files.write("a", "")
        assert names(tmp_path) == ["jobs", "jobs/a", "jobs/a/b", "jobs/a/b/a.toml"]
    assert names(tmp_path) == ["jobs"]


def test_what_others_put_there_meanwhile_stays(tmp_path: Path) -> None:
    with NewFiles(place(tmp_path)) as files:
        files.write("a", "")
        (tmp_path / "jobs/imported/theirs").write_text("")
        (tmp_path / "jobs/imported/a.toml").unlink()
    assert names(tmp_path) == ["jobs", "jobs/imported", "jobs/imported/theirs"]


def test_nothing_written_makes_no_folder(tmp_path: Path) -> None:
    with NewFiles(place(tmp_path)):
        pass
    assert names(tmp_path) == []


def test_a_taken_name_gets_a_number_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "A.TOML").write_text("theirs")
    (tmp_path / "b-2.toml").mkdir()
    with NewFiles(place(tmp_path, ".")) as files:
        written = [files.write(stem, "") for stem in ("a", "a", "b", "B", "a-2", "c")]
        files.keep()
    assert written == ["a-2.toml", "a-3.toml", "b.toml", "B-3.toml", "a-2-2.toml", "c.toml"]
    assert (tmp_path / "A.TOML").read_text() == "theirs"


@pytest.mark.parametrize("stem", ["con", "Nul", "LPT1"])
def test_a_name_that_windows_has_no_file_for_gets_a_number(tmp_path: Path, stem: str) -> None:
    with NewFiles(place(tmp_path)) as files:
        assert files.write(stem, "") == f"{stem}-2.toml"


def test_a_file_in_place_of_a_folder_is_an_error_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("no folder")
    for folder in ("jobs", "jobs/imported"):
        with (
            pytest.raises(MajobctlError, match=r"/a\.toml cannot be written: Not a directory"),
            NewFiles(place(tmp_path, folder)) as files,
        ):
            files.write("a", "")
    assert names(tmp_path) == ["jobs"]


def test_a_name_that_is_too_long_takes_the_others_away_again(tmp_path: Path) -> None:
    with (
        pytest.raises(MajobctlError, match="cannot be written: File name too long"),
        NewFiles(place(tmp_path)) as files,
    ):
        files.write("a", "")
        files.write("x" * 300, "")
    assert names(tmp_path) == []


def test_text_that_no_file_takes_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(MajobctlError, match=r"cannot be written: .*surrogates not allowed"),
        NewFiles(place(tmp_path)) as files,
    ):
        files.write("a", "\ud800")
    assert names(tmp_path) == []


def test_a_place_is_below_the_settings_whatever_it_is_called(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "root"
    root.mkdir()
    found = settings(root)
    expected = Place(root / "jobs/a b", "jobs/a b")
    assert place_of_files(found, "jobs/a b", is_single=False) == expected
    assert place_of_files(found, "x/../jobs/./a b/", is_single=False) == expected
    assert place_of_files(found, str(root / "jobs/a b"), is_single=False) == expected
    (tmp_path / "link").symlink_to(root)
    assert place_of_files(found, str(tmp_path / "link/jobs/a b"), is_single=False) == expected


@pytest.mark.parametrize("out_dir", ["..", "../jobs", "/", "jobs/../../x\x1b"])
def test_a_place_outside_is_refused(tmp_path: Path, out_dir: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(MajobctlError, match=r"is outside the folder of majobctl\.toml") as raised:
        place_of_files(settings(root), out_dir, is_single=False)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("out_dir", [".", "job", "jobs/.hidden", "x/jobs"])
def test_a_place_that_no_job_file_is_read_from_is_refused(tmp_path: Path, out_dir: str) -> None:
    with pytest.raises(MajobctlError) as raised:
        place_of_files(settings(tmp_path), out_dir, is_single=False)
    assert str(raised.value) == (
        f'jobs.files in majobctl.toml does not match new files in "{out_dir}": add'
        f' "{out_dir}/*.toml" to it, or choose another --out-dir'
    )


def test_any_pattern_will_do_an_absolute_one_too(tmp_path: Path) -> None:
    found = settings(tmp_path, "jobs/*.toml", f"{tmp_path}/else/*.toml", "./*.toml")
    for out_dir in ("jobs", "else", "."):
        assert place_of_files(found, out_dir, is_single=True).shown == out_dir


_parts = st.sampled_from(["a", "b", ".h"])
_patterns = st.lists(
    st.sampled_from(["a", "*", "**", "[ab]", ".*", ".h", "?h"]), max_size=4
).flatmap(
    lambda parts: st.sampled_from(["imported.toml", "*.toml", "**", "*", ".*", "x.toml"]).map(
        lambda last: "/".join([*parts, last])
    )
)


@given(_patterns, st.lists(_parts, max_size=4))
@example("**", ["a", "b"])
@example("a/**/**/*.toml", ["a"])
@example("a/**/**", ["a"])
@example("*/**", [])
def test_a_place_is_taken_where_glob_finds_a_file_in_it(pattern: str, folders: list[str]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        found = settings(root, pattern)
        path = root.joinpath(*folders, "imported.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        name = path.relative_to(root).as_posix()
        is_read = name in glob.glob(pattern, root_dir=root, recursive=True)
        try:
            place_of_files(found, "/".join(folders), is_single=False)
        except MajobctlError:
            assert not is_read
        else:
            assert is_read
