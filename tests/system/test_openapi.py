"""The OpenAPI document is valid, and says of bodies and parameters what the server holds them to.

The tables are those of the unit tests (tests/unit/http_fixture.h); http_openapi, a small program of
the build folder, prints their document and reads bodies and queries by them.
"""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from support import environment, program

TOOL = Path(os.environ.get("KOL_HTTP_OPENAPI") or program().parents[1] / "tests/tools/http_openapi")


def run(*args, text=""):
    done = subprocess.run(
        [TOOL, *args], input=text, capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def document():
    return json.loads(run())


def test_the_document_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()


def test_an_invalid_document_would_be_found(document):
    broken = json.loads(json.dumps(document))
    del broken["paths"]["/books/{isbn}"]["get"]["parameters"][0]
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_examples_of_problems_fit_their_schema(document):
    shared = document["components"]["responses"]
    assert len(shared) > 10
    for response in shared.values():
        content = response["content"]["application/problem+json"]
        for example in content["examples"].values():
            jsonschema.validate(example["value"], document["components"]["schemas"]["Problem"])


def validator(document, schema):
    """A validator of one schema, its formats included."""
    root = {"components": document["components"], **schema}
    return jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())


# Values near what the members of a Book may be, and others.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 6000),
    st.sampled_from([0.0, 1.5, 2.5, 2.5000001, 3.0, -0.0, 5000.0, 2**53]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["maps", "old", "1990-02-28", "1990-02-30", "2025-05-14T21:17:24Z", "x" * 101]),
    st.lists(st.sampled_from(["old", "rare", "red", "blue"]), max_size=4),
    st.fixed_dictionaries({}, optional={"name": st.text("ab", max_size=2), "born": st.none()}),
    st.lists(st.fixed_dictionaries({"name": st.sampled_from(["An", "", 1])}), max_size=3),
)
NAMES = ["title", "pages", "weight", "lent", "shelf", "tags", "author", "readers", "extra", "note"]
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries({}, optional={name: VALUES for name in [*NAMES, "added", "titel"]}),
    st.fixed_dictionaries({}, optional={name: VALUES for name in [*NAMES, "added"]}).map(
        lambda more: {"title": "x", "pages": 1, **more}
    ),
)


def outcomes(bodies):
    lines = "".join(json.dumps(body) + "\n" for body in bodies)
    return run("body", "Book", text=lines).split("\n")[:-1]


def test_a_body_is_taken_exactly_if_the_document_says_so(document):
    book = validator(document, {"$ref": "#/components/schemas/Book"})

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(BODIES, min_size=30, max_size=40))
    def check(bodies):
        for body, outcome in zip(bodies, outcomes(bodies), strict=True):
            assert (outcome == "ok") == book.is_valid(body), (body, outcome)

    check()
    # Both answers are among what is asked.
    find(BODIES, book.is_valid)
    find(BODIES, lambda body: isinstance(body, dict) and not book.is_valid(body))


def as_query(value):
    """A value as the document says that it is written."""
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


NEAR = {
    "integer": st.integers(-200, 200),
    "number": st.sampled_from([0, 1.5, 2.5, 2.75, -0.5, 1e-7]),
    "boolean": st.booleans(),
    "array": st.lists(st.sampled_from(["title", "isbn", "a", "b", "c", "d"]), max_size=5),
    "string": st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(["maps", "csv", "2024-02-29", "2023-02-29", "2025-05-14T21:17:24+07:00"]),
    ),
}


def check_parameter(parameter, schema):
    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(NEAR[parameter["schema"]["type"]], min_size=30, max_size=40))
    def check(values):
        texts = [as_query(value) for value in values]
        queries = [urlencode({parameter["name"]: text}, quote_via=quote) + "\n" for text in texts]
        answers = run("query", "/books", text="".join(queries)).split("\n")[:-1]
        for value, answer in zip(values, answers, strict=True):
            assert (answer == "ok") == schema.is_valid(value), (parameter["name"], value, answer)

    check()


def test_a_parameter_is_taken_exactly_if_the_document_says_so(document):
    parameters = document["paths"]["/books"]["get"]["parameters"]
    assert len(parameters) > 10
    for parameter in parameters:
        check_parameter(parameter, validator(document, parameter["schema"]))
