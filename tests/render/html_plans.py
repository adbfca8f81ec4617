"""Plans to be looked at as a page: one of each kind of change, one of thousands, a hostile one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from majobctl.errors import Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.plan.plan import Plan, Selection
from majobctl.plan.planner import make_plan
from tests.plan.values import TARGET, state_of, unsure

SENTIMENT: dict[str, Any] = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/ml-bucket/output/sentiment/",
    "code_dir": "/ml-bucket/src/2026-10/",
    "boot_file": "/ml-bucket/src/2026-10/pytorch_sentiment.py",
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "hyperparameters": {"batch_size": "64", "epochs": "10", "lr": "0.001"},
    "log_url": "/ml-bucket/log/",
    "inputs": "/ml-bucket/data/sentiment/",
}
HOSTILE = (
    "</script><script>document.title='broken'</script>",
    "</style><style>*{display:none}</style>",
    "--><img src=http://127.0.0.1:1/x onerror=\"document.title='broken'\">",
    "\"'`&amp;${version}$summary",
    "a\u2028b\u2029c\u202eevil\u2066\u0000\x1b[31m\r\n",
)


@dataclass(frozen=True)
class Place:
    file: str
    line: int


def config(name: str, params: dict[str, Any], file: str, line: int = 3, **more: Any) -> JobConfig:
    return JobConfig(name, params, source=Place(file, line), **more)


def reviewed_plan() -> Plan:
    """A refreshed plan with a change of each action, a warning and a selection."""
    tuned = {
        **SENTIMENT,
        "code_dir": "/ml-bucket/src/2026-11/",
        "boot_file": "/ml-bucket/src/2026-11/pytorch_sentiment.py",
        "hyperparameters": {"batch_size": "128", "epochs": "10", "lr": "0.002", "warmup": "500"},
    }
    sources = [
        {"type": "obs", "data_url": "/ml-bucket/data/a/"},
        {"type": "dataset", "dataset_id": "4AZNvFkN7KYr5EdhFkH", "dataset_version": "UOF9BIeS"},
    ]
    mixed = {key: SENTIMENT[key] for key in SENTIMENT if key != "inputs"}
    vision = {**mixed, "data_source": sources, "config_desc": "Vision, with two sources of data"}
    secret = {**SENTIMENT, "hyperparameters": {"lr": "0.1", "token": "open sesame"}}
    is_secret = {("hyperparameters", "token"): "${env.HUB_TOKEN}"}
    desired = [
        config("audio", {**SENTIMENT, "train_instance_count": 4}, "jobs/audio.toml", 1),
        config("sentiment", tuned, "jobs/nlp/sentiment.toml"),
        config("taken-in", SENTIMENT, "jobs/nlp/others.toml", 20),
        config("translation", secret, "jobs/nlp/others.toml", 1, sensitive=is_secret),
        config("vision", vision, "jobs/vision.toml"),
        config("unsure", tuned, "jobs/vision.toml", 31),
        config("same", SENTIMENT, "jobs/vision.toml", 45),
        config("left-out", SENTIMENT, "jobs/vision.toml", 60),
    ]
    state = state_of(
        audio={**SENTIMENT, "train_instance_count": 2},
        sentiment=SENTIMENT,
        translation=secret,
        retired=SENTIMENT,
        abandoned=SENTIMENT,
        same=SENTIMENT,
        unsure=unsure(SENTIMENT, tuned),
    )
    types = "two types of data sources"
    drifted = {**SENTIMENT, "train_instance_count": 8, "log_url": "/ml-bucket/log-by-hand/"}
    live = {
        "audio": {**SENTIMENT, "train_instance_count": 3},
        "sentiment": drifted,
        "taken-in": SENTIMENT,
        "translation": {**secret, "hyperparameters": {"lr": "0.1", "token": "other"}},
        "retired": SENTIMENT,
        "same": SENTIMENT,
        "unsure": SENTIMENT,
    }
    return make_plan(
        {item.name: item for item in desired},
        state,
        TARGET,
        selection=Selection((), ("left-*",)),
        warnings=[
            Problem(file="jobs/vision.toml", line=3, where="job_config.vision", message=types)
        ],
        live={
            item: LiveConfig(item, live[item]) if item in live else None
            for item in [*(config.name for config in desired), "retired", "abandoned"]
        },
        creates_missing=True,
        deletes_removed=True,
    )


def offline_plan() -> Plan:
    """What the state and the files alone say: an update, an addition, one that is forgotten."""
    tuned = {**SENTIMENT, "train_instance_count": 2, "hyperparameters": {"epochs": "20"}}
    desired = [
        config("sentiment", tuned, "jobs/nlp/sentiment.toml"),
        config("vision", SENTIMENT, "jobs/vision.toml"),
    ]
    state = state_of(sentiment=SENTIMENT, retired=SENTIMENT)
    return make_plan({item.name: item for item in desired}, state, TARGET)


def large_plan(count: int) -> Plan:
    """So many changes in a tenth as many files: of each ten, seven updates, two additions and one
    that is forgotten."""
    desired: dict[str, JobConfig] = {}
    known: dict[str, dict[str, Any]] = {}
    for number in range(count):
        name, kind = f"resnet-{number:05}", number % 10
        params = {
            **SENTIMENT,
            "output_path": f"/ml-bucket/output/{name}/",
            "hyperparameters": {"lr": "0.001", "seed": str(number)},
        }
        if kind != 7 and kind != 8:
            known[name] = params
        if kind != 9:
            after = {**params, "hyperparameters": {"lr": "0.002", "seed": str(number), "wd": "0"}}
            file = f"jobs/team-{number // 100:02}/resnet-{number // 10:04}.toml"
            desired[name] = config(name, after, file, 1 + kind * 12)
    return make_plan(desired, state_of(**known), TARGET)


def hostile_plan() -> Plan:
    """Every text that comes from outside is one that would break out of a page."""
    desired: dict[str, JobConfig] = {}
    known: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(HOSTILE):
        labels = {text: text, "plain": text}
        desired[text] = config(text, {text: text, "hyperparameters": labels}, text)
        known[text] = {"config_desc": text, "hyperparameters": {text: f"{text}{number}"}}
        known[f"gone {text}"] = {text: [text, {text: text}]}
    problems = [Problem(file=text, line=1, where=text, message=text) for text in HOSTILE]
    selection = Selection(("*",), tuple(f"none {text}" for text in HOSTILE))
    return make_plan(desired, state_of(**known), TARGET, selection=selection, warnings=problems)
