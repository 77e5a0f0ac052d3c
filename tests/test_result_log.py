import json
from pathlib import Path

from nstd.job import ResultLog

SCHEMA = Path(__file__).parent.parent / "docs" / "result-log.schema.json"
PRINT = "import json; from nstd.job import ResultLog; print(json.dumps(ResultLog.model_json_schema(), indent=2))"


def test_published_schema_is_the_logs_own():
    own = ResultLog.model_json_schema()
    assert json.loads(SCHEMA.read_text()) == own, f"run: python -c '{PRINT}' > docs/{SCHEMA.name}"


def test_log_begins_with_its_schema_version():
    assert next(iter(ResultLog.model_fields)) == "schema_version"


def test_a_log_of_version_1_is_read():
    """It is one of nstd before terms had files of their own."""
    text = Path(__file__).with_name("result_log_1.json").read_text()
    log, old = ResultLog.model_validate_json(text), json.loads(text)
    assert log.schema_version == 2
    last, told = log.levels[0].history[2], old["levels"][0]["history"][2]
    style = {f"style.{layer}": loss for layer, loss in told["style"].items()}
    assert last.terms == {"content": told["content"], **style, "variation": told["tv"]}
    assert last.total == told["total"]
    assert ResultLog.model_validate_json(log.model_dump_json()) == log
