"""The OpenAPI document: current, complete, and true of what the views make."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from services.gateway import answer_models as answers
from services.gateway.app import create_app
from services.gateway.bodies import ClipBody, CreateJob
from services.gateway.openapi import describe, render
from services.gateway.views import accepted_view, job_summary, job_view
from shared.job.film import fail
from shared.job.model import Failure, Stage
from shared.media_links import MediaLinks
from shared.tokens import Signer
from tests.unit.shared.job.builders import T, accepted, clip_ready, completed, generating

ROOT = Path(__file__).parents[3]
DOCUMENT: dict[str, Any] = json.loads(render())
LINKS = MediaLinks(Signer("key"), "https://films.example", lambda: T)
WITHOUT_ERRORS = ("health", "alive", "ready")


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            yield operation["operationId"], operation


def test_the_document_is_current() -> None:
    """Made again by `make docs`."""
    assert (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8") == render()


def test_operation_ids_are_stable_names() -> None:
    names = [name for name, _ in operations()]
    assert len(set(names)) == len(names)
    assert {
        *("generateVideo", "processRecord", "createJob", "createJobs", "listJobs", "getJob", "getUsage"),
        *("cancelJob", "retryJob", "approveJob", "regenerateClip", "followJob", "health"),
    } <= set(names)


def test_every_operation_is_explained_and_shows_an_example() -> None:
    for name, operation in operations():
        assert operation.get("description"), name
        assert "example" in json.dumps(answers_with_schemas(operation)), name


def answers_with_schemas(operation: dict[str, Any]) -> list[Any]:
    """Return what an operation answers when all is well, with the schemas it refers to."""
    fine = [answer for status, answer in operation["responses"].items() if status[0] in "23"]
    named = [name for name in DOCUMENT["components"]["schemas"] if f'/{name}"' in json.dumps(fine)]
    files = ["example"] if "binary" in json.dumps(fine) or "204" in operation["responses"] else []
    return [*fine, *(DOCUMENT["components"]["schemas"][name] for name in named), *files]


def test_every_operation_about_jobs_needs_a_key_and_says_how_it_refuses() -> None:
    for name, operation in operations():
        if name in WITHOUT_ERRORS or "security" not in operation:
            continue
        assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
        assert {"400", "401", "429", "503"} <= operation["responses"].keys(), name
        assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize("model", [CreateJob, ClipBody])
def test_every_field_of_the_full_form_has_an_example(model: type[CreateJob | ClipBody]) -> None:
    for name, field in DOCUMENT["components"]["schemas"][model.__name__]["properties"].items():
        referred = [
            schema for key, schema in DOCUMENT["components"]["schemas"].items() if f'/{key}"' in json.dumps(field)
        ]
        shown = json.dumps([field, *referred])
        assert "example" in shown, name


def test_the_views_are_what_the_document_says() -> None:
    failed = fail(generating(accepted()), failure=Failure(stage=Stage.GENERATING, code="x", message="y"), now=T)
    for job in (accepted(), generating(accepted()), clip_ready(generating(accepted()), 2), failed, completed()):
        data = json.loads(json.dumps(job_view(job, LINKS)))
        TypeAdapter(answers.JobAnswer).validate_python({"success": True, "data": data})
        TypeAdapter(answers.JobSummary).validate_python(json.loads(json.dumps(job_summary(job))))
    TypeAdapter(answers.AcceptedData).validate_python(accepted_view(accepted(), "https://films.example"))


def test_an_application_describes_itself_once() -> None:
    app = create_app(None)
    assert isinstance(app, FastAPI)
    assert app.openapi() is app.openapi()
    assert app.openapi() == describe(app)
