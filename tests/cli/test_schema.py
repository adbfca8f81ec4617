from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import tomli

from majobctl.repository.authoring.schema import SCHEMAS
from tests.config_repository import Repository


def test_the_schema_of_job_files_is_printed_where_nothing_is_named(repository: Repository) -> None:
    ran = repository.done("schema")
    assert ran.document == SCHEMAS["jobs"]()
    assert ran.stderr == ""
    assert repository.done("schema", "jobs").stdout == ran.stdout


def test_the_schema_of_the_settings_is_printed(repository: Repository) -> None:
    assert repository.done("schema", "settings").document == SCHEMAS["settings"]()


def test_all_are_written_over_those_that_are_there(repository: Repository) -> None:
    repository.write("deep/er/jobs.schema.json", "old")
    ran = repository.done("schema", "--out-dir", "deep/er")
    names = [f"deep/er/{kind}.schema.json" for kind in ("jobs", "settings", "policy")]
    assert ran.stdout == "".join(f"wrote {name}\n" for name in names)
    for kind, make in SCHEMAS.items():
        written = repository.root / "deep" / "er" / f"{kind}.schema.json"
        assert json.loads(written.read_bytes()) == make()


def test_the_one_that_is_named_is_written_alone(repository: Repository) -> None:
    ran = repository.done("schema", "settings", "--out-dir", ".")
    assert ran.stdout == "wrote settings.schema.json\n"
    assert [path.name for path in repository.root.iterdir()] == ["settings.schema.json"]


def test_a_place_that_cannot_be_written_is_reported(repository: Repository) -> None:
    repository.write("file", "")
    for folder in ("file", "x" * 300, "a/" * 3000):
        ran = repository.run("schema", "--out-dir", folder)
        assert (ran.code, ran.stdout) == (1, "")
        assert "jobs.schema.json cannot be written: " in ran.stderr


def test_an_unknown_kind_is_wrong_usage(repository: Repository) -> None:
    assert repository.run("schema", "state").code == 1


@pytest.mark.parametrize("name", ["majobctl.toml", "jobs/example.toml"])
def test_the_first_line_of_a_new_file_leads_to_its_schema(
    repository: Repository, name: str
) -> None:
    repository.done("init", "new")
    file = repository.root / "new" / name
    first = file.read_text(encoding="utf-8").splitlines()[0]
    directive, _, place = first.partition(" ")
    assert directive == "#:schema"
    schema = json.loads((file.parent / Path(place)).read_bytes())
    kind = "settings" if name == "majobctl.toml" else "jobs"
    assert schema == SCHEMAS[kind]()
    jsonschema.Draft202012Validator(schema).validate(tomli.loads(file.read_text(encoding="utf-8")))
