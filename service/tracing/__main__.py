"""`python -m service.tracing ID ...`: the traces of things by their ids, as collectors write them."""

import sys

from opentelemetry.trace import format_trace_id

from service.tracing.spans import root_of


def main(ids: list[str]) -> int:
    """0 where each of them has a trace."""
    found = [root_of(one) for one in ids]
    for one, root in zip(ids, found, strict=True):
        print(f"{one}: {format_trace_id(root.trace_id) if root else 'this is no id of a thing'}")
    return 0 if ids and all(found) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
