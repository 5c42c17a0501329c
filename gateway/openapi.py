"""`python -m gateway.openapi` prints the OpenAPI document; no stack is needed."""
from __future__ import annotations

import json
import sys

from gateway.app import routed
from gateway.description import document


def main() -> None:
    json.dump(document(routed()), sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
