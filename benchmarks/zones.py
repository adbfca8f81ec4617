"""Writes what octoDNS plans from: a zone file for each 100 records, twice, and its configuration.

There are as many zones as a config repository of that size has job files; the records have the
order that octoDNS wants.
"""

from __future__ import annotations

import enum
from pathlib import Path

from benchmarks.repositories import PER_FILE

_PROVIDER = """\
  {side}:
    class: octodns.provider.yaml.YamlProvider
    directory: {folder}/{side}
    escaped_semicolons: false
    supports_root_ns: false
"""
_ZONE = "  {zone}: {{sources: [desired], targets: [current]}}\n"
_ADDRESS = """\
r{number:06}:
  type: A
  value: 192.0.2.{value}
"""
_TEXTS = """\
r{number:06}:
  type: TXT
  values:
  - batch_size=64
  - boot_file=/ml-bucket/job-{number:06}/src/train.py
  - classes=12
  - code_dir=/ml-bucket/job-{number:06}/src/
  - config_desc=Number {number} of a benchmark
  - epochs=90
  - inputs=/ml-bucket/data/part-7/
  - lr=0.{value}
  - output_path=/ml-bucket/job-{number:06}/output/
"""


class Content(enum.Enum):
    """What each record is: one address, or what a job config of repositories.py has of its own."""

    ADDRESS = _ADDRESS
    TEXTS = _TEXTS


def write_zones(folder: Path, count: int, content: Content, *, is_changed: bool) -> Path:
    """Writes ``count`` records into ``folder`` and returns the configuration's file.

    The source is ``desired``, the target ``current``; if ``is_changed``, one value of every
    record is another there, else all are the same.
    """
    zones = [f"zone-{number:05}.example." for number in range(-(-count // PER_FILE))]
    for side, value in (("desired", 1), ("current", 2 if is_changed else 1)):
        (folder / side).mkdir(parents=True)
        for index, zone in enumerate(zones):
            numbers = range(index * PER_FILE, min((index + 1) * PER_FILE, count))
            records = (content.value.format(number=number, value=value) for number in numbers)
            text = "".join(["---\n", *records])
            (folder / side / f"{zone}yaml").write_text(text, encoding="utf-8")
    file = folder / "config.yaml"
    file.write_text(_config(folder, zones), encoding="utf-8")
    return file


def _config(folder: Path, zones: list[str]) -> str:
    providers = (_PROVIDER.format(side=side, folder=folder) for side in ("desired", "current"))
    listed = (_ZONE.format(zone=zone) for zone in zones)
    return "".join(["providers:\n", *providers, "zones:\n", *listed])
