"""`python -m tests.browser.pictures`: take the README's pictures of a service that `make run` has started.

The creator's page of the finished training, the client's desk after orders of the demonstration's words, and a sheet of
other words, each drawn without the style and with it from the same seed.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from inference.catalog import base_spec
from inference.engine import Engine
from inference.run import adapter_ref
from service.demo import PEOPLE, read_script
from service.settings import ROOT
from tests.benchmarks.pairs import draw_words, lay_pairs
from tests.browser.conftest import FLAGS

OUT = ROOT / "configs" / "demo" / "pictures"
VIEW = {"width": 1280, "height": 800}
WORDS = (
    *("bread", "burger", "cake", "car", "carrot", "cat", "crown", "dog"),
    *("face", "fire", "heart", "key", "lamp", "leaf", "moon", "pig"),
    *("rabbit", "rainbow", "shirt", "shoe", "sun", "train", "tree", "whale"),
)
"""None is in the demonstration's portfolio; seeds count up from 0."""
COLUMNS = 8
MADE_MS = 60_000
SETTLED_MS = 800


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument("--origin", default="http://127.0.0.1:8000", help="where the service answers")
    parser.add_argument("--home", type=Path, default=ROOT / ".ownhand")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).parent / "find_chromium.sh"
    chromium = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True).stdout.strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        _studio(_sign_in(browser, given, "creator"), given.origin, given.out)
        _desk(_sign_in(browser, given, "client"), given.origin, given.out)
        browser.close()
    _pairs(given.home, given.out / "pairs.webp")
    return 0


def _sign_in(browser: Browser, given: argparse.Namespace, role: str) -> Page:
    email, name = next(person for known, person in PEOPLE.items() if known == role)
    command = [sys.executable, "-m", "service", "invite", "--role", role, "--email", email, "--name", name]
    command += ["--home", str(given.home)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = browser.new_context(viewport=VIEW).new_page()
    page.set_default_timeout(MADE_MS)
    link = urlsplit(told.strip().splitlines()[-1])
    page.goto(f"{given.origin}{link.path}?{link.query}")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    return page


def _studio(page: Page, origin: str, out: Path) -> None:
    script = read_script(ROOT / "configs" / "demo" / "demo.toml")
    page.goto(f"{origin}/studio")
    page.get_by_role("link", name=script.name).first.click()
    page.wait_for_load_state()
    page.get_by_role("link", name="Train").first.click()
    page.get_by_alt_text("Drawn with your style").first.wait_for()
    _take(page, out / "studio.png")


def _desk(page: Page, origin: str, out: Path) -> None:
    for prompt in read_script(ROOT / "configs" / "demo" / "demo.toml").prompts:
        page.goto(f"{origin}/desk/make")
        page.get_by_label("What should").fill(prompt)
        page.get_by_label("How many").fill("3")
        # The price on the button follows what is filled in.
        page.wait_for_timeout(SETTLED_MS)
        page.get_by_role("button", name="Order for").click()
        page.get_by_role("link", name="Download").first.wait_for()
    page.goto(f"{origin}/desk")
    _take(page, out / "desk.png")


def _pairs(home: Path, path: Path) -> None:
    """Pairs of rows: without the style, and under it with it. The adapter is the one that the service trained."""
    file = max(home.glob("objects/trainings/*/*/adapter.safetensors"), key=lambda found: found.stat().st_mtime)
    with Engine(base_spec("openicons"), max_rows=COLUMNS, max_waiting=len(WORDS)) as engine:
        without, with_style = (draw_words(engine, WORDS, adapters, seed=0) for adapters in ((), (adapter_ref(file),)))
    Image.fromarray(lay_pairs(without, with_style, columns=COLUMNS)).save(path, quality=90)


def _take(page: Page, path: Path) -> None:
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=path, full_page=True, caret="initial")
    # Chromium writes large files.
    Image.open(path).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
