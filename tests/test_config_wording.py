from pathlib import Path

from pydantic import ValidationError

from nstd.config.tree import read_document
from nstd.config.wording import problems_of


def test_error_that_pydantic_may_invent_still_reads_well():
    error = ValidationError.from_exception_data("Config", [{"type": "url_type", "loc": ("a", "b"), "input": 5}])
    document = read_document(b"a: {b: 5}", Path("config.yaml"))
    assert [str(problem) for problem in problems_of(error, document)] == ["1:8: a.b: is not valid (got 5)"]
