"""The data: it lasts, it is shared by threads and processes, and it is never somebody else's."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import requests

from majobctl.emulator import create_adapter, create_app
from majobctl.emulator.errors import EmulatorError
from majobctl.emulator.store import Store

from .client import CONFIGS, Client, Connect, body
from .signer import Signer


def test_configurations_last_until_the_data_is_opened_again(
    connect: Connect, tmp_path: Path
) -> None:
    data = tmp_path / "made" / "on the way" / "emulator.db"
    first = connect(data=str(data))
    first.create("a", config_desc="kept")
    before = first.config("a")
    first.app.close()
    first.app.close()
    assert connect(data=data).config("a") == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_is_made_is_for_its_user_alone(connect: Connect, tmp_path: Path) -> None:
    folder = tmp_path / ".majobctl"
    connect(data=folder / "emulator.db").create("a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    names = ("emulator.db", "emulator.db-wal", "emulator.db-shm")
    assert modes == dict.fromkeys(names, 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_is_there_keeps_its_mode(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "emulator.db").touch()
    for path, mode in ((tmp_path / "emulator.db", 0o640), (tmp_path, 0o750)):
        path.chmod(mode)
    connect(data=tmp_path / "emulator.db").create("a")
    assert stat.S_IMODE((tmp_path / "emulator.db").stat().st_mode) == 0o640
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_two_emulators_see_each_others_changes(connect: Connect, tmp_path: Path) -> None:
    one, two = (connect(data=tmp_path / "emulator.db") for _ in range(2))
    one.create("a")
    assert two.put("a", body(config_desc="by two")).ok
    assert one.config("a")["config_desc"] == "by two"


def test_projects_share_the_data_and_not_the_names(connect: Connect, tmp_path: Path) -> None:
    dev, prod = (connect(data=tmp_path / "emulator.db", project_id=name) for name in "dp")
    dev.create("a")
    assert prod.get(CONFIGS)["configs"] == []
    prod.create("a")


WRITER = """
import sys
from majobctl.emulator.store import Store
store = Store(sys.argv[1], "emulator")
number = 0
while True:
    store.insert(f"n{number}", {"spec_id": 4})
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_a_killed_process(tmp_path: Path) -> None:
    data = tmp_path / "emulator.db"
    command = [sys.executable, "-c", WRITER, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(50)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    store = Store(data, "emulator")
    try:
        assert all(store.get(f"n{number}") for number in acknowledged)
    finally:
        store.close()


OPENER = """
import sys
from majobctl.emulator.store import Store
sys.stdin.readline()
store = Store(sys.argv[1], "emulator", lambda: [("seeded", {"spec_id": 4})])
store.insert(sys.argv[2], {"spec_id": 4})
print(store.list_page(order_by="config_name", descending=False, search="", limit=9, offset=0)[0])
store.close()
"""


def test_processes_that_start_at_once_share_one_new_file(tmp_path: Path) -> None:
    data = tmp_path / "emulator.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(data), f"p{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert max(int(output) for output in outputs) == 5


def hammer(client: Client, name: str, rounds: int, failures: list[str]) -> None:
    with requests.Session() as session:
        session.auth = Signer()
        own = Client(client.app, session, client.url)
        for number in range(rounds):
            for answer in (
                own.post(body(config_name=f"{name}-{number}")),
                own.put("shared", body(config_desc=f"{name} {number}")),
                own.call("GET", f"{CONFIGS}/shared"),
            ):
                if not answer.ok:
                    failures.append(answer.text)


@pytest.mark.parametrize("transport", ["socket", "in process"])
def test_threads_do_not_disturb_each_other(
    connect: Connect, tmp_path: Path, transport: str
) -> None:
    client = connect(data=tmp_path / "emulator.db")
    client.create("shared")
    failures: list[str] = []
    target = hammer if transport == "socket" else hammer_in_process
    threads = [threading.Thread(target=target, args=(client, name, 40, failures)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert client.get(CONFIGS)["config_total_count"] == 121


def hammer_in_process(client: Client, name: str, rounds: int, failures: list[str]) -> None:
    with requests.Session() as session:
        session.auth = Signer()
        session.mount("http://", create_adapter(client.app))
        for number in range(rounds):
            url = f"http://emulator.invalid/v1/emulator/{CONFIGS}"
            document = body(config_name=f"{name}-{number}")
            if not session.post(url, json=document).ok or not session.get(url).ok:
                failures.append(f"{name}-{number}")


def test_a_file_that_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "notes.txt"
    data.write_text("my notes\n" * 1000)
    before = data.read_bytes()
    with pytest.raises(EmulatorError, match=r"notes\.txt: .*not a database.*Name another file"):
        create_app(data)
    assert data.read_bytes() == before


def make_foreign(data: Path, *statements: str) -> bytes:
    connection = sqlite3.connect(data, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return data.read_bytes()


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine (x)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"]
)
def test_another_programs_database_is_left_alone(tmp_path: Path, statement: str) -> None:
    data = tmp_path / "theirs.db"
    before = make_foreign(data, statement)
    with pytest.raises(EmulatorError, match=r"theirs\.db: .*another program.*Name another file"):
        create_app(data)
    assert data.read_bytes() == before


def test_data_of_another_version_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "emulator.db"
    create_app(data).close()
    before = make_foreign(data, "PRAGMA user_version = 2")
    with pytest.raises(EmulatorError, match="its version is 2, and this majobctl knows 1"):
        create_app(data)
    assert data.read_bytes() == before


def test_opening_waits_for_another_process_that_is_writing(tmp_path: Path) -> None:
    data = tmp_path / "emulator.db"
    create_app(data).close()
    other = sqlite3.connect(data, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    create_app(data).close()
    release.join()
    other.close()
    in_write_ahead_mode = b"\x02\x02"  # bytes 18 and 19 of the file format
    assert data.read_bytes()[18:20] == in_write_ahead_mode


def test_an_empty_file_is_taken_as_new_data(connect: Connect, tmp_path: Path) -> None:
    data = tmp_path / "emulator.db"
    data.touch()
    connect(data=data).create("a")


def test_data_in_an_impossible_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for data in (tmp_path, tmp_path / "file" / "emulator.db"):
        with pytest.raises(EmulatorError, match=f"^{data}: cannot be used"):
            create_app(data)


def test_a_change_that_fails_rolls_back_and_leaves_the_store_usable(tmp_path: Path) -> None:
    store = Store(tmp_path / "emulator.db", "emulator")
    try:
        store.insert("a", {"spec_id": 4})
        with pytest.raises(ZeroDivisionError):
            store.update("a", lambda fields: {"spec_id": 1 // 0})
        assert store.update("a", lambda fields: {**fields, "engine_id": 4})
        record = store.get("a")
        assert record is not None
        assert record.fields == {"spec_id": 4, "engine_id": 4}
    finally:
        store.close()


DAMAGES = [
    "drop table config",
    "drop table project",
    *(f"update config set fields = {text}" for text in ("'x'", "'[]'", "'null'", "'1'", "'{}'")),
    *(f"update config set fields = {text}" for text in ("x'00ff'", "cast(x'ff' as text)", "5")),
    "update config set name = cast(x'ff' as text)",
    "update config set create_time = 'x'",
    "alter table config rename column fields to others",
    "pragma user_version = 7",
    "pragma application_id = 1",
    *range(30),
    *("", "cut"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_have_an_answer_or_an_error(
    connect: Connect, tmp_path: Path, damage: str | int
) -> None:
    """``damage`` is a statement, the seed of random bytes, or a cut."""
    data = tmp_path / "emulator.db"
    first = connect(data=data)
    first.create("a")
    first.app.close()
    content = bytearray(data.read_bytes())
    if isinstance(damage, int):
        random = Random(damage)
        for _ in range(random.choice((1, 10, 400))):
            content[random.randrange(len(content))] = random.randrange(256)
        data.write_bytes(content)
    elif not damage or damage == "cut":
        data.write_bytes(content[: len(content) // 2 if damage else 5])
    else:
        with closing(sqlite3.connect(data)) as connection, connection:
            connection.execute(damage)
    try:
        client = connect(data=data)
    except EmulatorError as error:
        assert "cannot be used as the emulator's data: " in str(error)
        return
    for path in (f"{CONFIGS}/a", CONFIGS):
        answer = client.call("GET", path)
        assert answer.json()["is_success"] is (answer.status_code == 200)
