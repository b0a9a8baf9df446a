"""The description of the API that /docs shows and clients are made from: every field, every status, as they are.

BentoML's own would describe the answers as objects of anything, and errors that we do not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

import jaxresp
from bento.errors import ANSWERS
from bento.limits import LIMITS
from bento.store import FEATURES, NAMES, TASKS
from jaxresp.audio import DEFAULT_LIMITS
from jaxresp.prediction import NOTICE

Json = dict[str, Any]

_MEANINGS = {
    400: "The body is not the form it says it is.",
    404: "No such model or class.",
    408: "The upload stalled, or came in too slowly.",
    413: "Too many bytes.",
    415: "The body is no multipart form.",
    422: "The sound, or a field, cannot be used; the message says why and what to do.",
    500: "The service failed.",
    503: "More is waiting than the service takes on; Retry-After says when to ask again.",
    504: "No answer in time.",
}
_NAMELESS = {499}  # whoever hung up reads no answer


class Document(Json):
    """An OpenAPI document, as BentoML takes it."""

    def asdict(self) -> Json:
        """Itself."""
        return dict(self)


yaml.add_representer(Document, lambda dumper, it: dumper.represent_dict(it.items()))  # for the Bento's openapi.yaml


def document() -> Json:
    """The OpenAPI document."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "jaxresp",
            "version": jaxresp.__version__,
            "description": f"Respiratory sounds, classified. {NOTICE}",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": "."}],
        "tags": [{"name": "sounds"}, {"name": "models"}, {"name": "operation"}],
        "paths": _sounds() | _models() | _operation(),
        "components": {"schemas": _schemas(), "headers": _headers()},
    }


# Paths


def _sounds() -> Json:
    task = {"type": "string", "enum": list(TASKS), "description": "the question"}
    features = {"type": "string", "enum": list(FEATURES), "description": "what the network is shown"}
    age = {
        "oneOf": [{"type": "number", "minimum": 0, "maximum": 130}, {"type": "string", "enum": [""]}],
        "description": "the patient's age in years; empty or left out when it is not known",
    }
    of_class = {"type": "string", "description": "a class of the model; the most probable one if left out"}
    chosen = {"task": task, "features": features}
    return {
        "/v1/classify": _asking(
            "classify", "Classify a sound with the quick model.", _ref("Prediction"), {"age_years": age}
        ),
        "/v1/classify_with": _asking(
            "classify_with",
            "Classify a sound with the model for a task and features.",
            _ref("Prediction"),
            chosen | {"age_years": age},
            required=tuple(chosen),
        ),
        "/v1/classify_many": _asking(
            "classify_many",
            "Classify several sounds, each with an answer or an error of its own, in their order. "
            "By the quick model, unless task and features name another.",
            _object({"answers": _list({"oneOf": [_object({"prediction": _ref("Prediction")}), _ref("Error")]})}),
            chosen,
            audio=_list(_sound()) | {"minItems": 1, "maxItems": LIMITS.max_files},
        ),
        "/v1/compare": _asking(
            "compare",
            "What each of the six models says about a sound.",
            _object({"predictions": _object(dict.fromkeys(NAMES, _ref("Prediction")))}),
            {"age_years": age},
        ),
        "/v1/explain": _asking(
            "explain",
            "An answer, and which moments and bands of the sound spoke for it, or for another class.",
            _object({"prediction": _ref("Prediction"), "explanation": _ref("Explanation")}),
            chosen | {"class": of_class},
        ),
    }


def _asking(
    name: str, summary: str, answer: Json, fields: Json, required: tuple[str, ...] = (), audio: Json | None = None
) -> Json:
    properties = {"audio": audio or _sound(), **fields}
    form = {"type": "object", "properties": properties, "required": ["audio", *required]}
    sound = {"audio": {"contentType": "audio/wav, audio/flac, audio/ogg, audio/mpeg"}}
    failures = {status: _MEANINGS[status] for status, _ in ANSWERS.values() if status not in _NAMELESS}
    return {
        "post": {
            "operationId": name,
            "tags": ["sounds"],
            "summary": summary,
            "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form, "encoding": sound}}},
            "responses": _responses(answer, failures | {500: _MEANINGS[500]}),
        }
    }


def _models() -> Json:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(NAMES)}}
    listed = _object({"quick": {"type": "string", "enum": list(NAMES)}, "models": _list(_ref("Model"))})
    return {
        "/v1/models": {"get": _reading("models", "models", "The six models.", listed)},
        "/v1/models/{name}": {
            "get": _reading(
                "models", "model", "One model, with its model card and its results.", _ref("ModelWithCard"), 404
            )
            | {"parameters": [name]}
        },
    }


def _operation() -> Json:
    told = {
        "/livez": "The process answers.",
        "/healthz": "The process answers.",
        "/readyz": "All models are loaded, verified and compiled.",
        "/metrics": "Prometheus metrics.",
    }
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        path: {
            "get": {
                "operationId": path.strip("/"),
                "tags": ["operation"],
                "summary": summary,
                "responses": {"200": {"description": summary, "headers": _signed(), "content": text}},
            }
        }
        for path, summary in told.items()
    }


def _reading(tag: str, name: str, summary: str, answer: Json, *failures: int) -> Json:
    responses = _responses(answer, {status: _MEANINGS[status] for status in failures})
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses}


def _responses(answer: Json, failures: Mapping[int, str]) -> Json:
    def response(description: str, schema: Json) -> Json:
        return {
            "description": description,
            "headers": _signed(),
            "content": {"application/json": {"schema": schema}},
        }

    found = {"200": response("The answer.", answer)}
    found |= {str(status): response(meaning, _ref("Error")) for status, meaning in sorted(failures.items())}
    if "503" in found:
        found["503"]["headers"] = _signed() | {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return found


# Schemas


def _schemas() -> Json:
    text, number = {"type": "string"}, {"type": "number"}
    kinds = sorted({kind.__name__ for kind in ANSWERS} | {"InternalError"})
    probabilities = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
    model = {
        "name": {"type": "string", "enum": list(NAMES)},
        "task": {"type": "string", "enum": list(TASKS)},
        "features": {"type": "string", "enum": list(FEATURES)},
        "classes": _list(text),
        "version": text,
        "window_s": number,
        "quick": {"type": "boolean"},
    }
    timed = {"start_s": number, "end_s": number}
    return {
        "Prediction": _object(
            {
                "label": text | {"nullable": True, "description": "null when the model abstains"},
                "probabilities": probabilities | {"description": "calibrated, by class"},
                "abstained": {"type": "boolean"},
                "reason": text | {"nullable": True, "description": "why it abstained"},
                "windows": _list(_object(timed | {"probabilities": probabilities}))
                | {"description": "what each window alone would have answered, uncalibrated"},
                "audio": _ref("AudioFacts"),
                "warnings": _list(text) | {"description": "what to keep in mind about this answer"},
                "model": _object({key: text for key in ("name", "version", "task", "features")}),
                "possible": _list(text)
                | {"nullable": True, "description": "classes that cannot be ruled out; null when nothing is promised"},
                "prevalence": probabilities
                | {"nullable": True, "description": "share of patients of each class that the probabilities are for"},
                "notice": text | {"enum": [NOTICE]},
            }
        ),
        "AudioFacts": _object(
            {
                "duration_s": number,
                "native_rate_hz": {"type": "integer"},
                "channels": {"type": "integer"},
                "subtype": text,
                "peak_dbfs": number,
                "rms_dbfs": number,
                "clipped_fraction": number,
                "bandwidth_hz": number,
            }
        ),
        "Explanation": _object(
            {
                "class": text,
                "method": text,
                "baseline": text,
                "unit": text,
                "moments": _list(_object(timed | {"share": number})),
                "saliency": _object({"step_s": number, "values": _list(number)}),
                "map": _object(
                    {
                        "step_s": number,
                        "bands_hz": _list(number) | {"nullable": True},
                        "values": _list(_list(number)),
                    }
                ),
            }
        ),
        "Model": _object(model),
        "ModelWithCard": _object(
            model
            | {
                "card": text | {"description": "Markdown"},
                "results": {
                    "type": "object",
                    "nullable": True,
                    "description": "what results.json of its run says of it; null when it was not exported",
                },
            }
        ),
        "Error": _object(
            {
                "error": _object(
                    {
                        "type": text | {"description": f"One of {', '.join(kinds)}; or a phrase of HTTP."},
                        "message": text | {"description": "what was wrong, and what to do"},
                    }
                )
            }
        ),
    }


def _headers() -> Json:
    return {
        "RequestId": {"schema": {"type": "string"}, "description": "X-Request-ID of the request, or a new one"},
        "RetryAfter": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "seconds"},
    }


def _signed() -> Json:
    return {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}


def _sound() -> Json:
    limits = DEFAULT_LIMITS
    return {
        "type": "string",
        "format": "binary",
        "description": f"wav, flac, ogg or mp3 of {limits.min_duration_s:g} to {limits.max_duration_s:g} s, "
        f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz, up to {limits.max_channels} channels and "
        f"{LIMITS.max_body_bytes // 2**20} MB",
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
