"""The canonical stay as a published JSON Schema (draft 2020-12): ``docs/schema/stay.schema.json``, ``zhibao schema``."""

from __future__ import annotations

import json

import msgspec

from gateway.model.stay import Stay

SCHEMA_ID = "urn:zhibao:schema:stay:1"


def stay_schema() -> str:
    """The schema as text. The number at the end of its id changes when a reader of an older one would break."""
    body = msgspec.json.schema(Stay)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **body}
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
