"""Writes images/plan-html.png: the page of a plan, as Chromium shows it.

    python docs/screenshot.py

Needs selenium and Chromium with its driver: on Debian, `apt-get install chromium chromium-driver`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from majobctl.render.html import plan_html
    from tests.browser import take_image
    from tests.render.html_plans import reviewed_plan

    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "plan.html"
        page.write_text(plan_html(reviewed_plan()), encoding="ascii")
        take_image(page, ROOT / "docs/images/plan-html.png", 1280, 1160)


if __name__ == "__main__":
    main()
