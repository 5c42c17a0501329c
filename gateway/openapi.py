"""`python -m gateway.openapi` prints the OpenAPI document; no stack is needed."""

from __future__ import annotations

from gateway.app import routed
from gateway.documentation.description import document
from gateway.documentation.printing import print_json


def main() -> None:
    print_json(document(routed()))


if __name__ == "__main__":
    main()
