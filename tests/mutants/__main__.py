"""`python -m tests.mutants [WORD ...]`: take guards away one by one, and exit with 1 where no test notices."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants import GUARDS
from tests.mutants.trying import as_table, copy_tree, try_guards


def main(words: list[str]) -> int:
    """Try the guards whose names have all these words."""
    chosen = [guard for guard in GUARDS if all(word in guard.name for word in words)]
    with TemporaryDirectory(prefix="ownhand-mutants-") as folder:
        tried = try_guards(copy_tree(Path(folder) / "tree"), chosen, say=lambda line: print(line, flush=True))
    print(as_table(tried))
    return 0 if chosen and all(one.is_noticed for one in tried) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
