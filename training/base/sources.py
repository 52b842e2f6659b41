"""Drawing sets from the npm packages `@iconify-json/<set>`: fetched, checked for their licence, sifted."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.base.errors import SourceRefused

ALLOWED_LICENCES = frozenset({"MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-3.0"})
SKIN_TONE = re.compile(r"-(medium-)?(light|dark)(-skin-tone)?(?=-|$)|-medium(-skin-tone)?(?=-|$)|-skin-tone")
NOT_A_PICTURE = re.compile(
    r"(^|-)flags?(-for)?-|-flag$|^flag|keycap|regional-?indicator|^letter-|^digit-|skin-tone|cjk|ideograph|katakana"
    r"|^input|^input-symbol|squared|-button$|^japanese-.*-(button|character)|^(hair|fitzpatrick)|copyright|trademark"
    r"|(^|-)(facebook|google|twitter|tiktok|instagram|spotify|slack|dropbox|github|gitlab|adobe|alipay|wechat|weixin"
    r"|youtube|linkedin|whatsapp|reddit|dribbble|wikipedia|steam|mitsubishi|paypal|behance|nintendo|xbox|html|css"
    r"|ios|android|safari|chrome|bitcoin|pdf|ppt|excel|debian|linux|vlc|bbc|icons8|stumbleupon|nfc)(-|$)"
)
CLOCK_FACE = re.compile(r"(oclock|o-clock|thirty)(-|$)")
# Sets that draw each motif in several weights: the others repeat the motif.
REPEATED = {
    "streamline-plump": re.compile(r"-(solid|remix)$"),
    "ph": re.compile(r"-(thin|light|bold|fill|duotone)$"),
    "mdi": re.compile(r"-(outline|variant|off|box|circle|plus|minus|alert|check|remove)(-|$)"),
    "tabler": re.compile(r"-(filled|off|plus|minus|x|check|exclamation|question|cancel|pause|share|up|down)$"),
}
TRAILING_NUMBER = re.compile(r"-(\d+|one|two|three|four|five|six|seven|eight|nine|ten|r|alternate)$")


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Who made a set, under which licence."""

    package: str
    title: str
    author: str
    licence: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One vector drawing. `codepoint` is the emoji it draws in lower-case hex, where the set says so."""

    package: str
    name: str
    svg: str
    codepoint: str | None


def fetch(versions: Mapping[str, str], folder: Path) -> None:
    """Install npm packages (name -> exact version) into `folder` without running their scripts.

    Those already there in that version are kept. SourceRefused where npm fails.
    """
    missing = [
        f"{package}@{version}" for package, version in versions.items() if _installed(folder, package) != version
    ]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "package.json"
    if not manifest.is_file():
        manifest.write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *missing]
    if subprocess.run(command, cwd=folder).returncode:
        raise SourceRefused(f"npm could not install {', '.join(missing)}; its own message is above.")


def _installed(folder: Path, package: str) -> str | None:
    manifest = folder / "node_modules" / package / "package.json"
    return str(json.loads(manifest.read_text())["version"]) if manifest.is_file() else None


def read_credit(folder: Path, package: str) -> Credit:
    """The credit of an installed set; SourceRefused where its licence is not on the list."""
    info = json.loads((folder / "node_modules" / "@iconify-json" / package / "info.json").read_text())
    licence = info["license"].get("spdx", "")
    if licence not in ALLOWED_LICENCES:
        raise SourceRefused(
            f"The drawing set {package!r} is under {licence or info['license'].get('title')}. Only "
            f"{', '.join(sorted(ALLOWED_LICENCES))} may be trained on: take the set out of the recipe."
        )
    author = info["author"]
    return Credit(
        package=package, title=info["name"], author=author["name"], licence=licence, url=author.get("url", "")
    )


def read_drawings(folder: Path, package: str) -> Iterator[Drawing]:
    """The drawings of an installed set that show something, one per motif: no flags, skin-tone doubles, signs."""
    path = folder / "node_modules" / "@iconify-json" / package
    icons = json.loads((path / "icons.json").read_text())
    chars = path / "chars.json"
    codepoints: dict[str, str] = {}
    if chars.is_file():
        for codepoint, name in json.loads(chars.read_text()).items():
            codepoints.setdefault(name, codepoint)
    names = set(icons["icons"])
    seen: set[str] = set()
    for name in sorted(names):
        icon = icons["icons"][name]
        body = hashlib.sha256(icon["body"].encode()).hexdigest()
        if icon.get("hidden") or body in seen or not is_wanted(package, name, names):
            continue
        seen.add(body)
        yield Drawing(package=package, name=name, svg=_svg(icons, icon), codepoint=codepoints.get(name))


def is_wanted(package: str, name: str, names: set[str]) -> bool:
    """False for doubles and for glyphs that mean nothing as a picture. `names` are all names of the set."""
    if NOT_A_PICTURE.search(name) or len(name) < 3:
        return False
    plain = SKIN_TONE.sub("", name)
    if plain != name and (plain in names or "skin-tone" in name):
        return False
    if CLOCK_FACE.search(name) and not re.search(r"(^|-)(three|ten|3|10)-?o-?clock", name):
        return False
    return not (package in REPEATED and REPEATED[package].search(name))


def words_of(name: str) -> str:
    """A drawing's name as plain words: `fox-face-1` -> `fox face`."""
    previous = ""
    while previous != name:
        previous, name = name, TRAILING_NUMBER.sub("", name)
    return name.replace("-", " ").replace("_", " ").strip()


def _svg(icons: dict[str, Any], icon: dict[str, Any]) -> str:
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="#26282c" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )
