"""Codecs are tested with the part in C, and without."""

from collections.abc import Iterator

import pytest

from sparsewatch.transforms.codecs import plain_records


@pytest.fixture(scope="module", params=["in C", "by Arrow"])
def json_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """The reader of plain records."""
    if request.param == "in C" and not plain_records.is_built():
        pytest.skip("the part in C is not built: make native")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by Arrow":
            patch.setattr(plain_records, "_plain_json", None)
        yield
