"""Writes what follows from the declarations of metrics: `python -m deploy.generate`, or `make metrics`."""

from collections.abc import Mapping
from pathlib import Path

from deploy.generate.dashboards import dashboard_file
from deploy.generate.health_dashboard import HEALTH
from deploy.generate.page import with_tables
from deploy.generate.rules import rules_file
from deploy.generate.stream_dashboards import CLICKS, ROWS, WAFERS

ROOT = Path(__file__).resolve().parents[2]
_PAGE = ROOT / "docs" / "metrics.md"


def generated() -> Mapping[Path, str]:
    """Content of each file, as the declarations are now."""
    dashboards = ROOT / "deploy" / "grafana" / "dashboards"
    return {
        _PAGE: with_tables(_PAGE.read_text()),
        ROOT / "deploy" / "prometheus" / "rules.yml": rules_file(),
        **{dashboards / f"{one.name}.json": dashboard_file(one) for one in (HEALTH, CLICKS, ROWS, WAFERS)},
    }


def main() -> None:
    """Write all of them."""
    for path, content in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
