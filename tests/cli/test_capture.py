"""What scripts would configure, as TOML. Each script runs in a process of its own, as users' do."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli

from tests.config_repository import Ran, Repository, finished, until
from tests.service.sdk_samples import SAMPLES, SESSIONS, WITHOUT_PROJECT

SETTINGS = '[provider]\nkind = "emulator"\n'
HEAD = """\
from modelarts.session import Session
from modelarts.estimator import Estimator
session = Session()
estimator = Estimator(
    modelarts_session=session,
    framework_type="PyTorch",
    framework_version="PyTorch-1.0.0-python3.6",
    code_dir="/ml/src/",
    boot_file="/ml/src/train.py",
    hyperparameters=[{"label": "lr", "value": "0.001"}],
    output_path="/ml/output/",
    train_instance_type="modelarts.vm.gpu.p100",
    train_instance_count=1)
"""
UPDATE = 'estimator.update_job_configs(config_name="one", inputs="/ml/data/")\n'
ONE = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/ml/output/",
    "code_dir": "/ml/src/",
    "boot_file": "/ml/src/train.py",
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "inputs": "/ml/data/",
    "hyperparameters": {"lr": "0.001"},
}
MEASURED = [it for name in os.environ if name[:9] == "COVERAGE_" for it in ("--pass-env", name)]
"""For the coverage of the process that a script runs in."""


def capture(
    repository: Repository,
    script: str,
    *arguments: str,
    options: tuple[str, ...] = (),
    code: int = 0,
) -> Ran:
    """Writes ``train.py`` and captures it."""
    repository.write("train.py", script)
    return repository.run("capture", *MEASURED, *options, "train.py", *arguments, code=code)


def tables(ran: Ran) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomli.loads(ran.stdout).get("job_config", {})
    return found


UPDATED = "0178 update with OBS"
CONFIGURING = ["0177 details 2", *(it for it in SAMPLES if "create" in it or "update" in it)]
WAYS = [(name, "0123 nothing") for name in SAMPLES] + [(UPDATED, session) for session in SESSIONS]


@pytest.mark.parametrize(("name", "session"), [*WAYS, (UPDATED, "")])
def test_every_documented_sample_can_be_captured(
    repository: Repository, name: str, session: str
) -> None:
    opened = SESSIONS.get(session, WITHOUT_PROJECT).replace("'emulator'", "'secret-of-tests'")
    ran = capture(repository, SAMPLES[name].script(opened))
    assert [*tables(ran)] == (["my_job_config"] if name in CONFIGURING else [])
    assert "secret-of-tests" not in ran.stdout + ran.stderr
    used = [it for it in ("secret_key", "access_key", "password") if f"{it}=" in opened]
    lines = [line for line in ran.stderr.splitlines() if "is a credential" in line]
    assert len(lines) == len(used)
    assert all(line.startswith("Warning: train.py:4: ") for line in lines)


def test_the_first_sample_says_what_a_person_would_have_written(repository: Repository) -> None:
    repository.write("train.py", SAMPLES[UPDATED].script("session = Session()\n"))
    ran = repository.process("capture", *MEASURED, "train.py")
    assert ran.stdout == (
        "# Captured from train.py.\n\n[job_config.my_job_config]\n"
        'train_instance_type = "modelarts.vm.gpu.p100"\ntrain_instance_count = 1\n'
        'output_path = "/bucket/output/"\ncode_dir = "/bucket/src/"\n'
        'boot_file = "/bucket/src/pytorch_sentiment.py"\nframework_type = "PyTorch"\n'
        'framework_version = "PyTorch-1.0.0-python3.6"\nlog_url = "/bucket/log/"\n'
        'config_desc = "update"\ninputs = "/bucket/dataset/"\n\n'
        '[job_config.my_job_config.hyperparameters]\nclasses = "10"\nlr = "0.001"\n'
    )
    assert ran.stderr == (
        "Running train.py: this is your code, and it can do whatever you can.\n"
        "{'is_success': True}\nCaptured 1 job config.\n"
    )


LATER = """\
estimator.train_instance_count = 2
estimator.hyperparameters[0]["value"] = 5
setattr(estimator, "log_url", "obs://ml/log/")
"""
CALLS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "attributes set later": (
        f"{LATER}{UPDATE}",
        {
            **ONE,
            "train_instance_count": 2,
            "log_url": "/ml/log/",
            "hyperparameters": {"lr": "5"},
        },
    ),
    "positional arguments": (
        'estimator.update_job_configs("one", "told", "/ml/data/")\n',
        {**ONE, "config_desc": "told"},
    ),
    "a name of the Estimator": (
        'estimator.config_name = "one"\nestimator.update_job_configs(inputs="/ml/data/")\n',
        ONE,
    ),
    "arguments of the script": (
        "import argparse\nparser = argparse.ArgumentParser()\n"
        'parser.add_argument("--data")\nparser.add_argument("-n")\ngiven = parser.parse_args()\n'
        "estimator.update_job_configs(config_name=given.n, inputs=given.data)\n",
        ONE,
    ),
    "a module beside it": ("import parts\nparts.update(estimator)\n", ONE),
    "fit": ('estimator.fit(inputs="/ml/data/", wait=True, job_name="one")\n', ONE),
    "blank and None": (
        f'estimator.log_url = ""\nestimator.model_name = None\n{UPDATE}',
        ONE,
    ),
    "a subclass": (
        "class Mine(Estimator):\n"
        "    def send(self):\n"
        '        return self.update_job_configs(config_name="one", inputs="/ml/data/")\n'
        "Mine(**{k: v for k, v in vars(estimator).items() if k[0] != '_'}).send()\n",
        ONE,
    ),
    "what the service would say": (
        'session.obs.upload_file(src_local_file="a", dst_obs_dir="obs://ml/src/")\n'
        "import moxing as mox\nmox.file.shift('os', 'mox')\nmox.file.make_dirs('s3://ml/x')\n"
        "found = Estimator.get_job_list(modelarts_session=session, search_content='x')\n"
        "assert found is not None and found.get('job_total_count', 0) == 0\n"
        'job = estimator.fit(job_name="one", inputs="/ml/data/")\n'
        "import time\nwhile job.get_job_info()['status'] != 10: time.sleep(1)\n"
        "time.sleep(100_000)\nassert job.get_job_info()['is_success']\n",
        ONE,
    ),
    "majobctl in place of the SDK": (
        "import majobctl.session\nfrom majobctl.estimator import Estimator as Ours\n"
        "assert Ours is Estimator and majobctl.session.Session is Session\n" + UPDATE,
        ONE,
    ),
    "numbers of numpy, paths": (
        "import pathlib\nclass Number:\n    def item(self): return 5\n"
        "estimator.hyperparameters = {'lr': Number()}\n"
        "estimator.code_dir = pathlib.PurePosixPath('/ml/src')\n" + UPDATE,
        {**ONE, "code_dir": "/ml/src", "hyperparameters": {"lr": "5"}},
    ),
    "its own main module": (
        "import sys, pickle\nclass Point: pass\n"
        "assert __name__ == '__main__' and sys.modules['__main__'].Point is Point\n"
        "assert isinstance(pickle.loads(pickle.dumps(Point())), Point)\n"
        "import os\nassert __file__ == os.path.abspath('train.py') and not os.listdir(os.environ"
        "['HOME'])\n" + UPDATE,
        ONE,
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_script_is_run_and_not_read(repository: Repository, case: str) -> None:
    repository.write("parts.py", f"def update(estimator):\n    {UPDATE.replace(chr(10), '')}\n")
    script, wanted = CALLS[case]
    ran = capture(repository, HEAD + script, "--data=/ml/data/", "-n", "one")
    assert tables(ran) == {"one": wanted}


NAMES = """\
job = estimator.fit(inputs="/ml/data/", job_name="trained", wait=False)
estimator.train_instance_count = 2
more = estimator.create_job_version(job_id=job.job_id, pre_version_id=job.version_id,
                                    inputs="/ml/data/", wait=True, job_desc="more nodes")
estimator.create_job_version(job_id=more.job_id, pre_version_id=more.version_id, inputs="/ml/x/")
estimator.create_job_version(job_id="182626", pre_version_id=278813, inputs="/ml/data/")
with Estimator.get_job_list(session)["jobs"] as jobs:
    estimator.create_job_version(jobs[0].job_id, inputs="/ml/data/")
made = estimator.create_job_configs(inputs="/ml/data/")
made.update_job_configs(inputs="/ml/y/")
assert estimator.config_name is None and made["is_success"] and made.get_job_configs_info()
"""


def test_jobs_their_versions_and_configurations_without_a_name(repository: Repository) -> None:
    ran = capture(repository, HEAD + NAMES)
    found = tables(ran)
    inputs = {
        "182626-v2": "/ml/data/",
        "job-v2": "/ml/data/",
        "train-1": "/ml/y/",
        "trained": "/ml/data/",
        "trained-v2": "/ml/data/",
        "trained-v3": "/ml/x/",
    }
    assert {name: table["inputs"] for name, table in found.items()} == inputs
    assert found["trained"]["train_instance_count"] == 1
    assert found["trained-v2"]["job_description"] == "more nodes"
    warned = "train.py:22: job_config.train-1: has no name in the script, and got this one"
    assert f"Warning: {warned}\n" in ran.stderr


LOOP = """\
for lr in ("0.1", "0.01"):
    for seed in range(3):
        estimator.output_path = f"/ml/out/{lr}/{seed}/"
        estimator.hyperparameters = [
            {"label": "lr", "value": lr}, {"label": "seed", "value": seed}]
        name = f"resnet-{lr.replace('.', '_')}-{seed}"
        estimator.update_job_configs(config_name=name, inputs="/ml/data/", config_desc=f"lr {lr}")
"""


def test_a_loop_is_a_matrix_that_says_the_same(repository: Repository) -> None:
    ran = capture(repository, HEAD + LOOP)
    assert "Captured 6 job configs." in ran.stderr
    (table,) = tables(ran).values()
    assert table["matrix"] == {"lr": ["0.01", "0.1"], "seed": ["0", "1", "2"]}
    assert table["name"] == "resnet-{lr}-{seed}"
    assert table["output_path"] == "/ml/out/${matrix.lr}/${matrix.seed}/"
    repository.settings(SETTINGS)
    repository.write("jobs/a.toml", ran.stdout)
    repository.done("fmt", "--check", "jobs/a.toml")
    assert repository.done("validate").stdout == "6 job configs are valid.\n"


def test_names_that_do_not_follow_from_the_values_stay_tables(repository: Repository) -> None:
    script = (
        'for at, lr in enumerate(("0.1", "0.2")):\n    estimator.hyperparameters[0]["value"] = lr'
    )
    script += '\n    estimator.update_job_configs(config_name=f"run{at}", inputs="/ml/data/")\n'
    assert [*tables(capture(repository, HEAD + script))] == ["run0", "run1"]


WARNINGS = {
    "twice": (
        f"{UPDATE}estimator.train_instance_count = 2\n{UPDATE.replace('update', 'create')}",
        "train.py:16: job_config.one: is configured again: this call counts, not the one at"
        " train.py:14",
    ),
    "an unknown argument": (
        "estimator = Estimator(session, **{key: it for key, it in vars(estimator).items()},\n"
        f"    volumes=[])\n{UPDATE}",
        "train.py:15: job_config.one: volumes is left out: a job config has no such key",
    ),
    "an attribute that is mistyped": (
        f"estimator.train_instance_cuont = 3\n{UPDATE}",
        "train.py:14: job_config.one: train_instance_cuont is left out: a job config has no such"
        ' key; did you mean "train_instance_count" or "train_instance_type"?',
    ),
    "what only the service knows": (
        'estimator.log_url = session.project_id\nestimator.config_name = "one"\n'
        'estimator.job_description = f"of {Estimator.get_job_list(session)}"\n' + UPDATE,
        'train.py:14: job_config.one: "log_url" is left out: it is an answer of the service; write'
        " it by hand",
    ),
    "a value of Python": (
        f"estimator.user_command = object()\n{UPDATE}",
        'train.py:14: job_config.one: "user_command" is left out: it is a value that TOML cannot'
        " hold; write it by hand",
    ),
    "another part of the SDK": (
        f"from modelarts.model import Model\nModel(session).deploy_predictor(configs=[])\n{UPDATE}",
        "train.py:14: modelarts.model: what the script does with it is not captured",
    ),
    "a deletion": (
        f'Estimator(session, config_name="old").delete_job_configs()\n{UPDATE}',
        "train.py:14: job_config.old: is deleted by the script, which no TOML can say",
    ),
    "a job": (
        'estimator.fit(inputs="/ml/data/", job_name="one")\n',
        "train.py:14: job_config.one: comes from fit, which starts a job; majobctl keeps what it"
        " trains with, and starts none",
    ),
    "a long name": (
        'estimator.config_name = "a-name-of-more-than-20"\n'
        f'estimator.update_job_configs(inputs="/ml/data/")\n{UPDATE}',
        "train.py:15: job_config.a-name-of-more-than-20: a name has 1 to 20 characters, each a"
        " letter A-Z a-z, a digit, _ or -; jobs.max_name_length = 22 allows it",
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_a_job_config_cannot_say_is_named_with_its_line(
    repository: Repository, case: str
) -> None:
    script, wanted = WARNINGS[case]
    ran = capture(repository, HEAD + script)
    assert f"Warning: {wanted}\n" in ran.stderr
    assert "one" in tables(ran)
    repository.settings(f"{SETTINGS}[jobs]\nmax_name_length = 30\n")
    repository.write("jobs/a.toml", ran.stdout)
    repository.done("validate")


LEFT_OUT = {
    'estimator.update_job_configs(config_name="two")': "",
    'estimator.update_job_configs(config_name="a b", inputs="/ml/data/")': (
        "train.py:14: job_config.a b: a name has 1 to 64 characters, each a letter A-Z a-z, a"
        " digit, _ or -"
    ),
    'estimator.update_job_configs(config_name=7, inputs="/ml/data/")': (
        "train.py:14: its name is not a text that capture knows"
    ),
    'estimator.output_path = "s3://ml/x"\n'
    'estimator.update_job_configs(config_name="two", inputs="/ml/data/")': (
        'train.py:14: job_config.two: output_path must be an OBS path such as "/bucket/dir/", not'
        ' "s3://ml/x"'
    ),
    'estimator.train_instance_count = None\nestimator.hyperparameters = {"n": 2**70}\n'
    'estimator.update_job_configs(config_name="two", inputs="/ml/data/")': (
        "train.py:16: job_config.two: train_instance_count is missing"
    ),
    'made = estimator.create_job_configs(config_name="two")\nmade.delete_job_configs()': (
        "train.py:15: job_config.two: left out: it is deleted again by the script"
    ),
}


@pytest.mark.parametrize("script", LEFT_OUT)
def test_what_breaks_a_rule_is_left_out_with_its_line(repository: Repository, script: str) -> None:
    wanted = LEFT_OUT[script]
    is_lost = bool(wanted) and ": left out" not in wanted
    ran = capture(repository, f"{HEAD}{script}\nestimator = Estimator(session)\n", code=is_lost)
    start = "Warning: left out: " if is_lost else "Warning: "
    assert (f"{start}{wanted}\n" in ran.stderr) if wanted else tables(ran)["two"]


SECRETS = """\
KEY = "AKIDEXAMPLE12345"
session = Session(access_key=KEY,
                  secret_key="sk-of-a-script-98765", region_name="eu-de")
estimator.modelarts_session = session
estimator.hyperparameters = [
    {"label": "api_key", "value": "value-of-the-api-key"},
    {"label": "shown", "value": f"prefix {KEY}"},
    {"label": "max_token", "value": 512},
]
estimator.update_job_configs(config_name="one", inputs="/ml/data/")
estimator.config_desc = 'of sk-"later" 12345'
estimator.update_job_configs(config_name="two", inputs="/ml/data/")
Session(password='sk-"later" 12345')
raise ValueError(f"cannot reach it with {session.secret_key}")
"""


def test_no_credential_is_written_or_shown(repository: Repository) -> None:
    ran = capture(repository, HEAD + SECRETS, code=1)
    for secret in ("AKIDEXAMPLE12345", "sk-of-a-script-98765", "value-of-the-api-key", "later"):
        assert secret not in ran.stdout + ran.stderr
    assert tables(ran)["one"]["hyperparameters"] == {
        "api_key": "${env.API_KEY}",
        "shown": "${env.SHOWN}",
        "max_token": "512",
    }
    said = ran.stderr.splitlines()
    assert [line.split(", ")[0] for line in said if "credential" in line] == [
        "Warning: train.py:15: access_key is a credential",
        "Warning: train.py:16: secret_key is a credential",
        "Warning: train.py:26: password is a credential",
    ]
    assert (
        'Warning: train.py:18: job_config.one and 1 more: "api_key" looks like a secret, and'
        " its value is not written: set API_KEY in the environment, or write the value if it is not"
        " a secret"
    ) in said
    assert (
        "Error: train.py:27: the script ended early: ValueError: cannot reach it with (hidden)"
        in (said)
    )
    assert "no such key" not in ran.stderr
    assert tables(ran)["two"]["config_desc"] == "${env.CONFIG_DESC}"
    assert said[-1] == "Captured 2 job configs before that."


SET_LATER = {
    "an attribute": "session.secret_key = 'sk-of-nobody-1'\nestimator.log_url = 'sk-of-nobody-1'\n",
    "bytes": "Session(secret_key=b'sk-of-nobody-1')\nestimator.log_url = '/ml/sk-of-nobody-1/'\n",
    "a short one": "session.ak = 'ab12'\nestimator.log_url = '/ml/ab12/'\n",
    "one seen later": f"estimator.log_url = '/ml/ab12/'\n{UPDATE}Session(ak='ab12')\n",
    "one like a part of a record": f"estimator.log_url = 'params'\n{UPDATE}Session(ak='params')\n",
}


@pytest.mark.parametrize("case", SET_LATER)
def test_credentials_however_a_session_gets_them(repository: Repository, case: str) -> None:
    script = f"session.bucket = '/ml/data/'\n{SET_LATER[case]}{UPDATE}"
    ran = capture(repository, HEAD + script)
    assert tables(ran)["one"]["log_url"] == "${env.LOG_URL}"
    assert tables(ran)["one"]["inputs"] == "/ml/data/"
    assert ran.stderr.count("is a credential") == 1


def test_a_short_credential_is_looked_for_as_a_word(repository: Repository) -> None:
    script = f"session.password = 'data'\nestimator.log_url = '/ml/database/'\n{UPDATE}"
    ran = capture(repository, HEAD + script)
    assert tables(ran) == {"one": {**ONE, "log_url": "/ml/database/", "inputs": "${env.INPUTS}"}}


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("user_command", "run --api-key sk-of-nobody", "--api-key"),
        ("user_command", "AWS_SECRET_ACCESS_KEY='of-nobody' run", "AWS_SECRET_ACCESS_KEY"),
        ("job_description", "run with --token=of-nobody", "token"),
        ("user_command", "run --api-key $KEY --max_token 512 --api-key=${KEY}", ""),
    ],
)
def test_a_secret_in_a_command_is_named(
    repository: Repository, key: str, text: str, wanted: str
) -> None:
    made = (
        'estimator = Estimator(session, user_image_url="swr/ml:1", user_command="run",'
        ' output_path="obs://ml/o/", train_instance_count=1, pool_id="pool1")\n'
    )
    ran = capture(repository, f"{HEAD}{made}estimator.{key} = {text!r}\n{UPDATE}")
    where = f'Warning: train.py:15: job_config.one: "{key}" has what looks like a secret, as '
    assert (f"{where}{wanted}: take it out" in ran.stderr) if wanted else "Warn" not in ran.stderr


def test_a_script_gets_no_credential_and_few_variables(repository: Repository) -> None:
    given = ("OS_SECRET_KEY", "HW_ACCESS_KEY", "AWS_SESSION_TOKEN", "MY_PASSWORD", "X")
    repository.environment.update(dict.fromkeys(given, "value-of-the-user"), BUCKET="ml")
    script = f"{HEAD}import os\nassert 'value-of-the-user' not in str(os.environ)\n{UPDATE}"
    capture(repository, script)
    script = (
        f"{HEAD}import os\nassert os.environ['BUCKET'] == 'ml'\n"
        "assert os.environ['OS_SECRET_KEY'] != 'value-of-the-user'\n"
        "estimator.hyperparameters[0]['value'] = os.environ['OS_SECRET_KEY']\n"
        f"Session(secret_key=os.environ['OS_SECRET_KEY'])\n{UPDATE}"
    )
    options = ("--pass-env", "BUCKET", "--pass-env", "OS_SECRET_KEY")
    ran = capture(repository, script, options=options)
    assert tables(ran)["one"]["hyperparameters"] == {"lr": "${env.LR}"}
    assert "is a credential" not in ran.stderr
    ran = capture(repository, script, code=1)
    assert ran.stderr.splitlines()[1:] == [
        "Error: train.py:15: the script ended early: KeyError: 'BUCKET'",
        "the script gets few variables; to give it this one: --pass-env BUCKET",
        "Captured 0 job configs before that.",
    ]
    ran = capture(repository, script, options=("--pass-env", "NOBODY_HAS_IT"), code=1)
    assert ran.stderr.endswith("Error: --pass-env: NOBODY_HAS_IT is not set in the environment\n")


FAILURES = {
    "exit": ("import sys\nsys.exit(3)\n", "train.py:16: the script ended early: exit code 3"),
    "text": ("exit('no')\n", "train.py:15: the script ended early: no"),
    "usage": (
        "import argparse\nit = argparse.ArgumentParser()\nit.add_argument('x')\nit.parse_args()\n",
        "train.py:18: the script ended early: exit code 2",
    ),
    "an error beside it": (
        "import parts\n",
        "parts.py:2: the script ended early: ZeroDivisionError: division by zero",
    ),
    "a missing module": (
        "import pandas_of_nobody\n",
        "train.py:15: the script ended early: ModuleNotFoundError: No module named"
        " 'pandas_of_nobody'\nthe script runs with majobctl's Python: install what it needs there",
    ),
    "a question": (
        "input('?')\n",
        "train.py:15: the script ended early: EOFError: EOF when reading a line",
    ),
    "an error that cannot be shown": (
        "class Odd(Exception):\n    def __str__(self): return 1\nraise Odd\n",
        "train.py:17: the script ended early: Odd",
    ),
    "death": ("import os\nos._exit(9)\n", "train.py: ended at once, with code 9"),
    "a quiet death": (
        "import os\nos._exit(0)\n",
        "train.py: ended without coming to its end; what follows was recorded before",
    ),
    "another program in its place": (
        "import os\nos.execv('/usr/bin/env', ['env', 'true'])\n",
        "train.py: ended without coming to its end; what follows was recorded before",
    ),
    "a fork that comes to its end": (
        "import os\nif pid := os.fork():\n    os.waitpid(pid, 0)\n    os._exit(0)\n",
        "train.py: ended without coming to its end; what follows was recorded before",
    ),
    "version 2": (
        "from modelarts.train_params import InputData\n",
        "train.py:15: the script ended early: modelarts.train_params is the SDK's second version:"
        " it starts jobs of /v2/training-jobs, which has no training job configurations, so there"
        " is nothing that a job config could say",
    ),
    "control characters": (
        "raise ValueError('\\x1b[2J\\r')\n",
        "train.py:15: the script ended early: ValueError: \\x1b[2J\\r",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_script_that_fails_is_one_error_and_what_came_before(
    repository: Repository, case: str
) -> None:
    repository.write("parts.py", "\n1 / 0\n")
    script, wanted = FAILURES[case]
    ran = capture(repository, HEAD + UPDATE + script, code=1)
    assert f"Error: {wanted}\n" in ran.stderr
    assert tables(ran) == {"one": ONE}
    assert ran.stderr.endswith("Captured 1 job config before that.\n")


PROGRAMS = {
    "run": ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n", "python", 16),
    "a shell": ("import subprocess\nsubprocess.run('git; exit 0', shell=True)\n", "git;", 16),
    "system": ("import os\nos.system('exit 0')\n", "exit", 16),
    "spawn": ("import os\nos.posix_spawn('/usr/bin/env', ['env', 'true'], {})\n", "env", 16),
    "exec in a fork": (
        "import os\nif not os.fork():\n    os.execv('/usr/bin/env', ['git', 'true'])\nos.wait()\n",
        "env",
        17,
    ),
    "multiprocessing": (
        "import multiprocessing\ntask = multiprocessing.get_context('spawn').Process()\n"
        "if __name__ == '__main__':\n    task.start()\n",
        "multiprocessing",
        18,
    ),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_that_a_script_starts_is_named(repository: Repository, case: str) -> None:
    """The SDK is not replaced there."""
    repository.settings(SETTINGS)
    script, name, line = PROGRAMS[case]
    ran = capture(repository, HEAD + UPDATE + script, code=1)
    assert tables(ran) == {"one": ONE}
    assert f'Warning: train.py:{line}: starts another program ("{name}' in ran.stderr
    assert "which is not captured and may call the service\n" in ran.stderr
    assert "Error" not in ran.stderr
    options = ("--out", "jobs/captured.toml")
    ran = capture(repository, HEAD + UPDATE + script, options=options, code=1)
    assert ran.stderr.endswith("Captured 1 job config; no file was written.\n")
    assert not [*repository.root.rglob("captured.*")]


def test_processes_and_programs_without_the_sdk_lose_nothing(repository: Repository) -> None:
    script = (
        "import multiprocessing, subprocess\nsubprocess.run(['git', '--version'])\n"
        "import os\nos.system('')\nsubprocess.run(['/bin/sh', '-c'])\n"
        "subprocess.getoutput('git rev-parse HEAD')\n"
        "call = lambda name: estimator.update_job_configs(name, inputs='/ml/data/') and None\n"
        "context = multiprocessing.get_context('fork')\n"
        "tasks = [context.Process(target=call, args=(name,)) for name in ('one', 'two')]\n"
        "for task in tasks: task.start()\nfor task in tasks: task.join()\n"
    )
    assert tables(capture(repository, HEAD + script)) == {"one": ONE, "two": ONE}


def test_no_record_goes_into_a_file_of_the_script(repository: Repository) -> None:
    script = (
        "import os\nos.closerange(3, 100)\nfiles = [open(f'f{it}', 'w') for it in range(9)]\n"
        f"{UPDATE}Session(secret_key='sk-of-nobody')\n"
    )
    assert tables(capture(repository, HEAD + script)) == {"one": ONE}
    assert {it.read_text() for it in repository.root.glob("f?")} == {""}


def test_a_child_that_outlives_the_script_holds_no_output(repository: Repository) -> None:
    script = (
        "import os, time\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n"
        "        open('pid', 'w').write(str(os.getpid()))\n        os.execv('/bin/sleep', ['sleep',"
        " '600'])\n    os._exit(0)\nos.wait()\nprint('said', flush=True)\n"
    )
    repository.write("train.py", HEAD + UPDATE + script)
    ran = repository.process("capture", *MEASURED, "train.py", code=1)
    os.kill(pid_in(repository.root / "pid"), signal.SIGKILL)
    assert tables(ran) == {"one": ONE}
    assert "\nsaid\n" in ran.stderr


def test_estimator_v2_is_refused_with_the_reason(repository: Repository) -> None:
    ran = capture(repository, "\nfrom modelarts.estimatorV2 import Estimator\n", code=1)
    assert ran.stdout == ""
    assert (
        "Error: train.py:2: the script ended early: modelarts.estimatorV2 is the SDK's second"
        in (ran.stderr)
    )
    fallback = "try:\n    import modelarts.estimatorV2\nexcept ImportError:\n    pass\n"
    assert tables(capture(repository, f"{fallback}{HEAD}{UPDATE}")) == {"one": ONE}


@pytest.mark.parametrize(
    "line",
    ['"kind"', '{"kind": "config"}', '{"kind": "x"}', '{"kind": "end", "text": 1, "at": 2}', "{"],
)
def test_records_that_a_script_has_damaged(repository: Repository, line: str) -> None:
    script = (
        f"{HEAD}{UPDATE}import os\nopen(Session.recorder.records, 'a').write({line + chr(10)!r})\n"
    )
    repository.write("train.py", script)
    ran = repository.process("capture", *MEASURED, "train.py")
    damaged = "Error: the records of the script are damaged: it wrote into them\n"
    assert ran.stderr.endswith(damaged) if ran.code else tables(ran) == {"one": ONE}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "Captured 0 job configs."),
        (b"def\n", "Error: train.py:1: the script ended early: SyntaxError: "),
        (b"x = '\xff'\n", "the script ended early: SyntaxError: "),
        (b"x\0y", "the script ended early: "),
        (b"x = 1\n" * 200_000, "Captured 0 job configs."),
        ("# coding: latin-1\nx = 'é'\n".encode("latin-1"), "Captured 0 job configs."),
    ],
    ids=["empty", "wrong", "not UTF-8", "NUL", "huge", "Latin 1"],
)
def test_whatever_a_script_has_in_it(repository: Repository, content: bytes, wanted: str) -> None:
    (repository.root / "train.py").write_bytes(content)
    assert wanted in repository.process("capture", *MEASURED, "train.py").stderr


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("nobody.py", "Error: nobody.py is not a file; give a Python script\n"),
        (".", "Error: . is not a file; give a Python script\n"),
        (
            "a.ipynb",
            "Error: a.ipynb is a notebook, not a script\nmake one: jupyter nbconvert --to script"
            " a.ipynb\n",
        ),
    ],
)
def test_what_is_no_script_is_not_run(repository: Repository, script: str, wanted: str) -> None:
    repository.write("a.ipynb", "{}")
    assert repository.run("capture", script, code=1).stderr.endswith(wanted)


def test_a_script_ends_in_time_with_all_that_it_started(repository: Repository) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(child.pid))\nwhile True: pass\n"
    )
    ran = capture(repository, HEAD + UPDATE + script, options=("--timeout", "1.5"), code=1)
    assert (
        "Error: train.py: was stopped after 1.5 s; --timeout SECONDS allows it more\n" in ran.stderr
    )
    assert tables(ran) == {"one": ONE}
    assert_gone(repository.root / "pid")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_script_too(repository: Repository, number: int) -> None:
    repository.write(
        "train.py", "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile 1: 0\n"
    )
    process = repository.start("capture", "train.py", start_new_session=True)
    until(lambda: (repository.root / "pid").exists() and pid_in(repository.root / "pid"), "a start")
    process.send_signal(number)
    assert finished(process).code == 130
    assert_gone(repository.root / "pid")


def pid_in(file: Path) -> int:
    return int(file.read_text() or 0)


def assert_gone(file: Path) -> None:
    """That the process has ended; whoever adopted it may not have noticed yet."""
    status = Path(f"/proc/{pid_in(file)}/status")
    until(lambda: not status.exists() or "State:\tZ" in status.read_text(), "the end of a process")


def test_a_loop_is_a_matrix_without_a_default_of_another_label(repository: Repository) -> None:
    repository.settings(f"{SETTINGS}[defaults.hyperparameters]\nwarmup = 5\n")
    (table,) = tables(capture(repository, HEAD + LOOP)).values()
    assert table["matrix"] == {"lr": ["0.01", "0.1"], "seed": ["0", "1", "2"]}
    assert table["unset"] == ["warmup"]


def test_labels_of_the_defaults_that_the_script_does_not_set_are_unset(
    repository: Repository,
) -> None:
    below = {"lr": 1, "seed": 2, "inputs": 3}
    labels = ", ".join(f'{{ label = "{it}", value = {below[it]} }}' for it in below)
    repository.settings(f"{SETTINGS}[defaults]\nhyperparameters = [{labels}]\n")
    script = f"{HEAD}estimator.hyperparameters = [{{'label': 'seed', 'value': 2}}]\n{UPDATE}"
    none = UPDATE.replace('"one"', '"two"')
    script += f"estimator.hyperparameters = []\n{none}"
    capture(repository, script, options=("--out", "jobs/new.toml"))
    written = tomli.loads((repository.root / "jobs/new.toml").read_text())["job_config"]
    assert written["one"]["unset"] == ["hyperparameters.inputs", "lr"]
    assert "hyperparameters" not in written["one"]
    assert written["two"]["hyperparameters"] == ""
    assert "hyperparameters" not in repository.done("render", "two").stdout
    shown = repository.done("render", "one").stdout
    assert shown.endswith('[job_config.one.hyperparameters]\nseed = "2"\n')


def test_a_new_job_file_is_written_below_the_defaults(repository: Repository) -> None:
    settings = f'{SETTINGS}[defaults]\nlog_url = "/ml/log/"\noutput_path = "/ml/output/"\n'
    repository.job("known")
    repository.settings(settings)
    known = UPDATE.replace('"one"', '"known"')
    script = f"{HEAD}estimator.log_url = '/ml/log/'\n{UPDATE}{known}estimator.log_url = None\n"
    script += UPDATE.replace('"one"', '"two"')
    ran = capture(repository, script, options=("--out", "jobs/new/captured.toml"))
    assert ran.stdout == "Captured 2 job configs in jobs/new/captured.toml.\n"
    assert (
        "Warning: train.py:16: job_config.known: left out: jobs/known.toml:1 describes it already\n"
        in ran.stderr
    )
    text = (repository.root / "jobs/new/captured.toml").read_text()
    written = tomli.loads(text)["job_config"]
    assert "log_url" not in written["one"] and written["two"]["log_url"] == ""
    assert "output_path" not in written["one"]
    assert repository.done("validate").stdout == "3 job configs are valid.\n"
    repository.done("fmt", "--check", "jobs/new/captured.toml")
    again = capture(repository, script, options=("--out", "jobs/new/captured.toml"), code=1)
    assert 'jobs/new/captured.toml" is there already; name a new file' in again.stderr


def test_a_linked_script_finds_its_modules(repository: Repository) -> None:
    repository.write("real/parts.py", "DATA = '/ml/data/'\n")
    call = UPDATE.replace('"/ml/data/"', "parts.DATA")
    repository.write("real/train.py", f"import parts\n{HEAD}{call}")
    (repository.root / "link.py").symlink_to("real/train.py")
    assert tables(repository.done("capture", *MEASURED, "link.py")) == {"one": ONE}


@pytest.mark.parametrize(
    ("out", "script", "wanted"),
    [
        ("captured.toml", UPDATE, "jobs.files in majobctl.toml does not match new files in"),
        ("jobs/captured.txt", UPDATE, "is not a TOML file; name a new file"),
        ("../jobs/captured.toml", UPDATE, "is outside the folder of majobctl.toml"),
        ("jobs/captured.toml", f"{UPDATE}1 / 0\n", "before that; no file was written"),
        (
            "jobs/captured.toml",
            f"{UPDATE}estimator.update_job_configs(config_name=7)\n",
            "Captured 1 job config; no file was written",
        ),
    ],
)
def test_nothing_is_written_where_it_is_not_read_or_not_complete(
    repository: Repository, out: str, script: str, wanted: str
) -> None:
    repository.settings(SETTINGS)
    ran = capture(repository, HEAD + script, options=("--out", out), code=1)
    assert wanted in ran.stderr
    assert not [*repository.root.parent.rglob("captured.*")]


def test_a_misspelt_call_is_named(repository: Repository) -> None:
    script = f"{HEAD}{UPDATE.replace('configs', 'config', 1)}"
    ran = capture(repository, script, code=1)
    assert "AttributeError: 'Estimator' object has no attribute 'update_job_config'\n" in ran.stderr


def test_an_empty_capture_says_that_no_file_was_written(repository: Repository) -> None:
    repository.settings(SETTINGS)
    ran = capture(repository, HEAD, options=("--out", "jobs/captured.toml"))
    assert ran.stderr.endswith("Captured 0 job configs; no file was written.\n")
    assert not [*repository.root.rglob("captured.*")]


@pytest.mark.parametrize(
    ("script", "arguments", "warning"),
    [
        ("", ("a.py",), '"a.py" went to "train.py" as an argument'),
        ("", ("a.py", "--fast", "b.py"), '"a.py" and 1 more went to "train.py" as arguments'),
        ("", ("none.py", "a.txt"), ""),
        (UPDATE, ("a.py",), ""),
    ],
)
def test_scripts_that_went_to_a_script_as_arguments(
    script: str, arguments: tuple[str, ...], warning: str, repository: Repository
) -> None:
    """What a shell makes of ``capture *.py``."""
    for name in ("a.py", "b.py", "a.txt"):
        repository.write(name, HEAD)
    ran = capture(repository, HEAD + script, *arguments)
    warned = [line for line in ran.stderr.splitlines() if line.startswith("Warning: ")]
    wanted = f"Warning: {warning}: capture runs one script; run it once for each"
    assert warned == ([wanted] if warning else [])


def test_the_arguments_of_a_script_are_its_own_however_they_are_spelled(
    repository: Repository,
) -> None:
    given = ["", "--empty=", "-exclude=x", "-e=x", "-C=~/x", "-json", "~nobody-here/x", "a*"]
    script = f"import sys\nassert sys.argv[1:] == {given!r}\n"
    capture(repository, HEAD + script + UPDATE, *given)


def test_a_new_file_needs_a_config_repository(repository: Repository) -> None:
    ran = capture(repository, HEAD + UPDATE, options=("--out", "jobs/captured.toml"), code=1)
    assert "no majobctl.toml in" in ran.stderr


def test_more_calls_than_anybody_makes_are_refused(repository: Repository) -> None:
    script = f"{HEAD}while True:\n    estimator.config_name = str(id([]))\n    {UPDATE}"
    ran = capture(repository, script, code=1)
    assert "RuntimeError: the script configures more than capture can hold\n" in ran.stderr
    assert [*tables(ran)] == ["one"]
    swallowed = "for at in range(10_100):\n    try: " + UPDATE + "    except Exception: pass\n"
    ran = capture(repository, HEAD + swallowed, code=1)
    assert "Error: train.py: the script configures more than capture can hold\n" in ran.stderr


ROUND = {
    **{name: SAMPLES[name].script("session = Session()\n") for name in CONFIGURING},
    **{name: HEAD + CALLS[name][0] for name in (*CALLS,)[:6]},
    "a loop": HEAD + LOOP,
    "a loop over names": HEAD
    + 'for name in ("alpha", "beta"):\n    estimator.code_dir = f"/ml/{name}/"\n'
    '    estimator.boot_file = f"/ml/{name}/train.py"\n'
    '    estimator.create_job_configs(name, inputs=f"/ml/data/{name}/", config_desc="${x} é")\n',
    "an image, sources": HEAD
    + 'made = Estimator(session, user_image_url="swr/ml:1", user_command="run \'a\' \\"b\\"",\n'
    '    output_path="obs://ml/o/", train_instance_count=1, pool_id="pool1")\n'
    'made.fit(job_name="image", data_source=[{"type": "obs", "data_url": "obs://ml/a/"},\n'
    '    {"type": "obs", "data_url": "/ml/b/"}])\n',
    "a secret": HEAD + 'estimator.hyperparameters = {"api_key": "of-nobody", "n": 1}\n' + UPDATE,
}


@pytest.mark.parametrize("case", ROUND)
def test_there_and_back_is_a_fixed_point(repository: Repository, case: str) -> None:
    repository.settings(SETTINGS)
    repository.write("parts.py", f"def update(estimator):\n    {UPDATE.replace(chr(10), '')}\n")
    first = capture(repository, ROUND[case], "--data=/ml/data/", "-n", "one")
    repository.write("jobs/captured.toml", first.stdout)
    script = repository.done("render", "--as", "sdk").stdout
    second = capture(repository, script, options=("--pass-env", "API_KEY"))
    assert second.stdout == first.stdout
