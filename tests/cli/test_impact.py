"""What a plan says of GPUs, money and owners: from the list of flavors, the prices and CODEOWNERS
that are there, and nothing where there are none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.config_files import committed
from tests.config_repository import Repository

P100, BIG, CPU = "modelarts.vm.gpu.p100", "modelarts.bm.gpu.8v100", "modelarts.vm.cpu.2u"
PRICES = f'currency = "EUR"\n[price_per_hour]\n"{P100}" = 2.5\n"{BIG}" = 1_025\n'
PRICE, NO_LIST = "[price_per_hour]\n", "not known (run `majobctl flavors`)"
EUR = 'currency = "EUR"\n'
TYPE, COUNT = "train_instance_type", "train_instance_count"
SMALL, UNPRICED = '"vm.gpu.p100"', "prices.toml has no price for "
GONE = f"{SMALL} 1 -> 0 GPUs (listed)"
GROWS = f'"bm.gpu.8v100" 0 -> 8 GPUs, {GONE}'
NUMBER = 'price_per_hour: "x" must be a number from 0 to 999,999: "FLAVOR" = 2.5'
RUN_ONCE = "If each job config with a changed flavor or count runs once: "
OWNERS = "Owners of these job files: "
FORMATS = ("text", "markdown", "html")


@pytest.fixture
def applied(on_emulator: Repository) -> Repository:
    """``alpha`` and ``beta``, each on one node with one GPU."""
    on_emulator.job("beta")
    on_emulator.apply("--overwrite")
    return on_emulator


def said(repository: Repository, start: str, *arguments: str) -> list[str]:
    """What of the plan begins with ``start``, without it; also in a saved plan."""
    shown = repository.done("plan", "--out", "saved.plan", *arguments).stdout
    assert repository.done("show", "saved.plan").stdout == shown
    lines = [line for line in shown.splitlines() if line.startswith(start)]
    return [line.removeprefix(start).replace("modelarts.", "") for line in lines]


def cost(repository: Repository) -> str:
    """What the plan says of GPUs and money, without the day of the list."""
    return re.sub(r"listed on [0-9-]{10}", "listed", "".join(said(repository, RUN_ONCE)))


@pytest.mark.parametrize(
    ("has_list", "prices", "alpha", "beta", "parts"),
    [
        (True, "", {TYPE: BIG}, {}, [GROWS]),
        (True, "", {COUNT: 2}, {COUNT: 3}, [f"{SMALL} 2 -> 5 GPUs (listed)"]),
        (True, "", None, {}, [GONE]),
        (True, "", {TYPE: None, "pool_id": "p"}, {}, [GONE]),
        (True, "", {TYPE: CPU}, {}, [GONE]),
        (True, "", {TYPE: "x"}, {}, [GONE, f'GPUs of "x" {NO_LIST}']),
        (True, PRICES, {TYPE: BIG}, {}, [GROWS, "2.50 -> 1,025.00 EUR an hour"]),
        (
            True,
            PRICES,
            {TYPE: CPU},
            {},
            [GONE, f'2.50 -> 0.00 EUR an hour, but {UNPRICED}"vm.cpu.2u"'],
        ),
        (False, PRICES, {COUNT: 3}, {}, [f"GPUs of {SMALL} {NO_LIST}", "2.50 -> 7.50 EUR an hour"]),
        (False, EUR + PRICE, {COUNT: 3}, {}, [f"GPUs of {SMALL} {NO_LIST}", UNPRICED + SMALL]),
        (False, "", {TYPE: BIG}, {}, []),
        (True, PRICES, {"config_desc": "mine"}, {}, []),
        (True, PRICES, {}, {}, []),
        (True, PRICES, {COUNT: 2}, {TYPE: None, "pool_id": "p"}, []),
        (True, PRICES, {"renamed_from": "alpha"}, {}, []),
        (
            True,
            PRICES,
            {"renamed_from": "alpha", COUNT: 2},
            {},
            [f"{SMALL} 1 -> 2 GPUs (listed)", "2.50 -> 5.00 EUR an hour"],
        ),
    ],
)
def test_gpus_and_money_before_and_after(
    applied: Repository, has_list: bool, prices: str, alpha: Any, beta: Any, parts: list[str]
) -> None:
    if has_list:
        applied.done("flavors")
    if prices:
        applied.write("prices.toml", prices)
    applied.remove("alpha")
    if alpha is not None:
        applied.job("gamma" if "renamed_from" in alpha else "alpha", **alpha)
    applied.job("beta", **beta)
    assert cost(applied) == ("; ".join(parts) and f"{'; '.join(parts)}.")


def test_every_format_says_it_and_json_has_the_numbers(applied: Repository) -> None:
    applied.done("flavors")
    applied.write("prices.toml", PRICES)
    applied.write("CODEOWNERS", "jobs/ @ml\n")
    applied.job("alpha", train_instance_type=BIG)
    for format_ in FORMATS:
        shown = applied.done("plan", "--format", format_).stdout
        assert RUN_ONCE in shown and "1,025.00 EUR an hour" in shown and OWNERS in shown, format_
    document = applied.done("plan", "--format", "json").document
    (big, small) = document["flavors"]
    listed_at = json.loads((applied.root / ".majobctl/catalogue.json").read_bytes())["flavors"]
    assert big == {
        "name": BIG,
        "nodes_before": 0,
        "nodes_after": 1,
        "gpus_per_node": 8,
        "listed_at": listed_at["read_at"],
        "price_per_hour": 1025.0,
        "currency": "EUR",
    }
    assert (small["nodes_before"], small["nodes_after"], small["price_per_hour"]) == (1, 0, 2.5)
    assert document["owners"] == {"jobs/alpha.toml": ["@ml"]}
    keys = list(document)
    assert keys.index("causes") < keys.index("flavors") < keys.index("owners")


def test_a_list_that_does_not_agree_with_itself_is_not_believed(applied: Repository) -> None:
    applied.done("flavors")
    path = applied.root / ".majobctl/catalogue.json"
    document = json.loads(path.read_bytes())
    items = document["flavors"]["items"]
    small = next(item for item in items if item["train_instance_type"] == P100)
    applied.job("alpha", train_instance_count=2)
    unknown = 'GPUs of "vm.gpu.p100" not known (run `majobctl flavors`).'
    for other in (2, None, "x"):
        document["flavors"]["items"] = [*items, {**small, "gpu_num": other}, small]
        path.write_text(json.dumps(document))
        assert cost(applied) == unknown
    other_target = {**document["target"], "project_id": "another"}
    for text in (json.dumps({**document, "target": other_target}), "{"):
        path.write_text(text)
        assert cost(applied) == ""
        applied.write("prices.toml", f"{EUR}{PRICE}")
        assert cost(applied) == f"{unknown[:-1]}; {UNPRICED}{SMALL}."
        (applied.root / "prices.toml").unlink()


def test_a_secret_flavor_gives_nothing_away(applied: Repository) -> None:
    applied.done("flavors")
    applied.write("prices.toml", PRICES)
    applied.job("alpha", sensitive=["train_instance_type"], train_instance_type=BIG)
    assert "flavors" not in applied.done("plan", "--format", "json").document
    assert said(applied, RUN_ONCE) == []
    applied.job("beta", sensitive=["train_instance_type"], train_instance_count=2)
    (line,) = said(applied, RUN_ONCE)
    unknown = 'GPUs of "(sensitive)" not known (run `majobctl flavors`)'
    assert line == f'{unknown}; prices.toml has no price for "(sensitive)".'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('currency = "EUR\n', "1:16: not valid TOML: this string is not closed on its line"),
        ("[price_per_hour]\n", '1: currency must be a name such as "EUR"'),
        ('currency = ""\n[price_per_hour]\n', '1: currency must be a name such as "EUR"'),
        (EUR, "1: price_per_hour must be a table"),
        (f"{EUR}price_per_hour = 2\n", "2: price_per_hour must be a table"),
        (f"{EUR}{PRICE}\nx.y = 1\n", f"4: {NUMBER}; a name with dots is in quotes"),
        (f'{EUR}{PRICE}x = "1"\n', f"3: {NUMBER}"),
        (f"{EUR}{PRICE}x = true\n", f"3: {NUMBER}"),
        (f"{EUR}{PRICE}x = -1\n", f"3: {NUMBER}"),
        (f"{EUR}{PRICE}x = nan\n", f"3: {NUMBER}"),
        (f"{EUR}{PRICE}x = inf\n", f"3: {NUMBER}"),
        ("[job_config.x]\n", '1: currency must be a name such as "EUR"'),
    ],
)
@pytest.mark.bad_inputs("prices", "text")
def test_bad_prices_are_errors_with_their_line(
    on_emulator: Repository, text: str, problem: str
) -> None:
    on_emulator.write("prices.toml", text)
    for command in ("validate", "plan"):
        assert f"prices.toml:{problem}\n" in on_emulator.run(command, code=1).stderr
    on_emulator.job("alpha", config_dsc="x")
    assert "config_dsc" in on_emulator.run("validate", code=1).stderr


def test_prices_are_no_job_file_and_no_part_of_a_base(on_emulator: Repository) -> None:
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.remove("alpha")
    on_emulator.write("x.toml", "[job_config.x]\n")
    on_emulator.settings(f'{settings}[jobs]\nfiles = ["x*.toml", "p*.toml"]\n')
    on_emulator.job("x")
    (on_emulator.root / "jobs/x.toml").rename(on_emulator.root / "x.toml")
    on_emulator.write("prices.toml", "broken")
    committed(on_emulator.root)
    on_emulator.write("prices.toml", PRICES)
    ran = on_emulator.done("plan", "--base", "HEAD")
    assert ran.last_line == "No changes. 1 job config is as in HEAD."


def test_owners_are_those_of_the_job_files_that_change(applied: Repository) -> None:
    applied.write("CODEOWNERS", "*.toml @all\n/jobs/beta.toml\n")
    assert said(applied, OWNERS) == []
    settings = (applied.root / "majobctl.toml").read_text()
    for name in ("alpha", "beta"):
        applied.job(name, train_instance_count=None)
    for name in ("more", "most"):
        applied.job(name)
    applied.settings(f"{settings}[defaults]\ntrain_instance_count = 2\n")
    # Edited alone is majobctl.toml; whom its line reaches counts.
    assert said(applied, OWNERS, "--exclude", "mo*") == ['"@all"; nobody for "jobs/beta.toml".']
    applied.write("CODEOWNERS", "jobs/ @one\njobs/mo* @one @two\n")
    assert said(applied, OWNERS) == ['"@one", "@two".']
    applied.write("CODEOWNERS", "# none\n")
    assert said(applied, OWNERS, "--target", "alpha") == ['nobody for "jobs/alpha.toml".']


def test_with_a_base_the_owners_of_what_leaves_are_known(applied: Repository) -> None:
    applied.write("CODEOWNERS", "jobs/alpha.toml @gone\n* @all\njobs/alpha.toml @gone\n")
    committed(applied.root)
    applied.remove("alpha")
    shown = applied.done("plan", "--base", "HEAD").stdout
    assert f'{OWNERS}"@gone".' in shown
    assert said(applied, OWNERS) == []


def test_markdown_notifies_nobody(applied: Repository) -> None:
    applied.write("CODEOWNERS", "* @all `@you` <x@y.z>\n")
    applied.job("alpha", config_desc="new")
    shown = applied.done("plan", "--format", "markdown").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith(OWNERS)]
    outside = "".join(line.split("`")[::2])
    assert "@" not in outside and '`"@all"`' in line
