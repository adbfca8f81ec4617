"""The facts of the machine that a reader needs to judge the numbers: no host name, user or path."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def facts(folder: Path) -> dict[str, str]:
    """Python, processor, cores and system of this machine, and the file system of ``folder``."""
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "CPU": f"{_processor()}, {os.cpu_count()} cores",
        "OS": f"{_system()}, {platform.system()} {_release()} {platform.machine()}",
        "file system": _file_system(folder),
    }


def _release() -> str:
    """The first two numbers: what follows them is this one machine's."""
    return ".".join(platform.release().split(".")[:2])


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def _file_system(folder: Path) -> str:
    """Its type, such as ext4: that of the longest mount point above ``folder``."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return "unknown"
    fields = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    above = [
        (len(point), kind)
        for _, point, kind, *_ in fields
        if folder.resolve().is_relative_to(point)
    ]
    return max(above)[1] if above else "unknown"
