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
