from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from majobctl.text import table_text


def test_cells_are_aligned_and_numbers_are_aligned_right() -> None:
    rows = [["one", "2", "", "x"], ["a longer one", "128", "7", ""]]
    assert table_text(["name", "nodes", "GPUs", "kind"], rows) == (
        "name          nodes  GPUs  kind\none               2        x\na longer one    128     7\n"
    )


def test_a_column_with_nothing_in_it_is_empty() -> None:
    assert table_text(["name", "nodes", "type"], [["a", "", "x"]]) == (
        "name  nodes  type\na            x\n"
    )


def test_a_long_cell_is_complete_and_widens_no_other_line() -> None:
    long = "x" * 500
    lines = table_text(["name", "type"], [[long, "gpu"], ["a", "cpu"]]).splitlines()
    assert lines[1] == f"{long}  gpu"
    assert lines[2] == f"{'a':<60}  cpu"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_any_cells_make_one_printable_line_a_row(rows: list[tuple[str, str]]) -> None:
    lines = table_text(["a", "b"], rows).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line.isprintable() for line in lines)
