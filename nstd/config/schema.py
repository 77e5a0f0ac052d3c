"""The config file's JSON schema, by which editors complete and explain settings."""

import inspect
import re
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from nstd.config.settings import Config

_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
_ABOUT: Final = {"description", "default"}


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of `config.yaml`, draft 2020-12, described by the records' docstrings."""
    schema = Config.model_json_schema(schema_generator=_DescribedSchema)
    for part in (*schema["$defs"].values(), schema):
        del part["title"]
    for name in schema["properties"].keys() - schema["required"]:
        schema["properties"][name] = _or_empty(schema["properties"][name])
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": "Config of nstd", **schema}


class _DescribedSchema(GenerateJsonSchema):
    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described["description"] = inspect.cleandoc(schema["cls"].__doc__ or "").partition("\n")[0]
        for name, text in _attribute_docs(schema["cls"]).items():
            setting = described["properties"][name]
            setting.pop("title", None)
            setting["description"] = text
        return described


def _attribute_docs(record: type) -> dict[str, str]:
    """Return what a record's docstring, and those it inherits from, say of each attribute."""
    docs: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        if kind.__module__.startswith("nstd."):
            docs |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return docs


def _or_empty(setting: dict[str, Any]) -> dict[str, Any]:
    """Let a section be empty, as it is when all its settings are commented out."""
    value = {name: part for name, part in setting.items() if name not in _ABOUT}
    about = {name: part for name, part in setting.items() if name in _ABOUT}
    return {**about, "anyOf": [value, {"type": "null"}]}
