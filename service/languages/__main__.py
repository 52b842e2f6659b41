"""`python -m service.languages`: what each language's catalogues lack, and what nobody says any more.

Prints the missing texts as entries to be filled in, with where they stand. Ends with 1 where there is one.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.pofile import normalize

from service.languages import ENGLISH, LANGUAGES
from service.languages.catalogues import read_catalogue
from service.languages.marked import Id, Marked, find_marked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service.languages", description=__doc__)
    parser.add_argument("only", nargs="*", type=Path, help="files whose texts are asked for; all where none is named")
    given = parser.parse_args(arguments)
    marked = list(find_marked())
    num_wrong = 0
    for language in LANGUAGES:
        if language != ENGLISH:
            missing, unused = compare(language, marked)
            only = {path.as_posix() for path in given.only}
            shown = [one for one in missing if not only or one.path in only]
            print("\n".join(_entry(one) for one in shown))
            if not only:
                print("\n".join(f"# nobody says: {message.id!r}" for message in unused))
            print(f"# {language}: {len(shown)} missing, {len(unused)} not said any more", file=sys.stderr)
            num_wrong += len(missing) + len(unused)
    return 1 if num_wrong else 0


def compare(language: str, marked: Iterable[Marked]) -> tuple[list[Marked], list[Message]]:
    """Texts that the language lacks, each once; and translations of texts that stand nowhere."""
    catalogue = read_catalogue(language)
    # Of a text that is said alone and as a plural, the plural: its translation serves both.
    by_need = sorted(marked, key=lambda one: isinstance(one.id, str))
    first = {(_key(one), one.context): one for one in reversed(by_need)}
    translated = {(_key(message), message.context): message for message in catalogue if message.id and message.string}
    missing = [one for key, one in first.items() if not _serves(translated.get(key), one)]
    unused = [message for key, message in translated.items() if key not in first]
    return sorted(missing, key=lambda one: (one.path, one.line)), unused


def _serves(translation: Message | None, marked: Marked) -> bool:
    return translation is not None and (isinstance(marked.id, str) or translation.pluralizable)


def _key(message: Message | Marked) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _entry(one: Marked) -> str:
    lines = [f"#: {one.path}:{one.line}"]
    if one.context:
        lines.append(f"msgctxt {normalize(one.context, width=0)}")
    return "\n".join([*lines, *_ids(one.id)]) + "\n"


def _ids(message: Id) -> list[str]:
    if isinstance(message, str):
        return [f"msgid {normalize(message, width=0)}", 'msgstr ""']
    one, many = (normalize(text, width=0) for text in message)
    return [f"msgid {one}", f"msgid_plural {many}", 'msgstr[0] ""', 'msgstr[1] ""']


if __name__ == "__main__":
    sys.exit(main())
