"""Runs one script with the stand-in in place of the ModelArts SDK and of moxing."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from majobctl.capture.answer import Answer
from majobctl.capture.recorder import Recorder
from majobctl.capture.sdk import Estimator, Session

_ROOTS = ("modelarts", "moxing", "majobctl")
_OF_VERSION_2 = ("estimatorv2", "train_params")
_STARTS = re.compile(r"subprocess\.Popen|os\.(system|exec|posix_spawn|spawn|startfile)")
_HARMLESS = re.compile(
    r"([\w./-]*/)?(cc|date|gcc|git|hostname|ld|ldconfig|lscpu|lspci|nproc|nvidia-smi|sw_vers|sysctl"
    r"|uname|which|whoami)( [\w ./=-]*)?"
)
"""The programs that certainly use no SDK, also as a shell's command."""
_REFUSAL = (
    "{} is the SDK's second version: it starts jobs of /v2/training-jobs, which has no training"
    " job configurations, so there is nothing that a job config could say"
)


class RefusedImport(ImportError):
    """Of a part of the SDK that has nothing to do with training job configurations."""


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.endswith(("Error", "Exception")):
            return type(name, (Exception,), {})
        return Answer().__getattr__(name)


class Finder(MetaPathFinder, Loader):
    """Finds the stand-in for every module of the packages that it replaces."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        root, _, part = name.partition(".")
        if root not in _ROOTS:
            return None
        if part.lower() in _OF_VERSION_2:
            raise RefusedImport(_REFUSAL.format(name))
        if part not in ("", "session", "estimator") and root != "moxing":
            Session.recorder.write("module", name=name, at=Session.recorder.caller()[0])
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__.partition(".")[0] != "moxing":
            module.__dict__.update(Session=Session, Estimator=Estimator)


def _watch(event: str, given: tuple[Any, ...]) -> None:
    """Records that the script starts a program: nothing replaces the SDK there."""
    if event == "import" and given[0].startswith("multiprocessing.popen_"):
        command = "" if given[0].endswith("_fork") else "multiprocessing"
    elif _STARTS.fullmatch(event):
        program, *more = given[event == "os.spawn" :]
        words = more[0] if more else ""
        command = os.fsdecode(program or words)
        if os.path.basename(command) == "sh" and words[1:2] == ["-c"]:
            command = " ".join(map(os.fsdecode, words[2:]))
    else:
        return
    if command and not _HARMLESS.fullmatch(command):
        name = Session.recorder.shown(os.path.basename(command.split(" ")[0]))
        Session.recorder.write("program", name=name, at=Session.recorder.caller()[0])


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, CodeType]]:
    while trace:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code
        trace = trace.tb_next


def _end_of(error: BaseException, recorder: Recorder) -> dict[str, Any]:
    """What is recorded of an error that ended the script."""
    frames = [*_frames(error.__traceback__)]
    own = [frame[:2] for frame in frames if recorder.is_own(frame[0])]
    at: Any = own[-1] if own else ("", 0)
    text, found = type(error).__name__, dict[str, Any]()
    with suppress(Exception):
        text = f"{text}: {error}".removesuffix(": ")
    if isinstance(error, SyntaxError) and recorder.is_own(error.filename or ""):
        at, text = (error.filename, error.lineno or 0), f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, SystemExit):
        text = f"exit code {error.code}" if isinstance(error.code, int) else str(error)
    elif isinstance(error, RefusedImport):
        text = str(error)
    elif isinstance(error, ModuleNotFoundError):
        found["module"] = str(error.name)
    elif isinstance(error, KeyError) and os.environ.__getitem__.__code__ is frames[-1][2]:
        found["variable"] = str(error.args[0])
    return {"at": at, "text": recorder.shown(text)[:2000], **found}


def main() -> None:
    """``sys.argv`` has the file of the records, the script's absolute path and its arguments."""
    _, records, script, *arguments = sys.argv
    Session.recorder = recorder = Recorder(records, script)
    for name in [name for name in sys.modules if name.partition(".")[0] in _ROOTS]:
        del sys.modules[name]
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    sys.meta_path.insert(0, Finder())
    time.sleep = lambda seconds: None
    sys.modules["__main__"] = module = ModuleType("__main__")
    module.__file__ = script
    end, process = dict[str, Any](), os.getpid()
    sys.addaudithook(_watch)
    try:
        exec(compile(Path(script).read_bytes(), script, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        if not (isinstance(error, SystemExit) and not error.code):
            end = _end_of(error, recorder)
    if end or os.getpid() == process:  # and no fork of it
        recorder.write("end", **end)
