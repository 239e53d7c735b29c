"""Writes what follows from the declarations of metrics: `python -m deploy.generate`, or `make metrics`."""

from collections.abc import Mapping
from pathlib import Path

from deploy.generate.page import with_tables

ROOT = Path(__file__).resolve().parents[2]
_PAGE = ROOT / "docs" / "metrics.md"


def generated() -> Mapping[Path, str]:
    """Content of each file, as the declarations are now."""
    return {_PAGE: with_tables(_PAGE.read_text())}


def main() -> None:
    """Write all of them."""
    for path, content in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
