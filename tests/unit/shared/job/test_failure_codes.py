"""Every reason for which a service ends a job is in the closed set that metrics count by."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from services.generator.provider.outcomes import ErrorCode
from shared.airtable.errors import AirtableError, BadRecord
from shared.fetch.errors import FetchError
from shared.film.errors import EngineError
from shared.job.failure_codes import FAILURE_CODES, NONE, OTHER, counted_code
from shared.models.profile import UnsuitableModel

ROOT = Path(__file__).parents[4]
TREES: tuple[type[Exception], ...] = (EngineError, FetchError, AirtableError, UnsuitableModel)


def tree(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for below in root.__subclasses__():
        yield from tree(below)


def ends_jobs(error: type[Exception]) -> bool:
    """Whether an error can: a record that cannot be read makes no job, and what may pass is tried again."""
    if issubclass(error, BadRecord):
        return False
    return not (issubclass(error, AirtableError) and error.retryable)


def of_errors() -> set[str]:
    for folder in ("services", "shared/film"):
        package = folder.replace("/", ".")
        for module in pkgutil.walk_packages([str(ROOT / folder)], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found = {error for root in TREES for error in tree(root) if error.__module__.startswith(("services.", "shared."))}
    return {str(getattr(error, "code", "")) for error in found if ends_jobs(error)}


def written_down() -> set[str]:
    """Return the codes that stand in the sources themselves, where failures are made."""
    sources = [*(ROOT / "shared" / "job").glob("*.py"), ROOT / "shared" / "giving_up.py"]
    sources += [ROOT / "services" / "generator" / "choosing.py"]
    found = {code for path in sources for code in re.findall(r'\bcode ?= ?"(\w+)"', path.read_text())}
    results = (ROOT / "services" / "generator" / "results.py").read_text()
    return found | set(re.findall(r'ClipRejected\("(\w+)"', results))


def test_the_set_is_what_jobs_can_fail_with() -> None:
    assert set(FAILURE_CODES) == of_errors() | written_down() | set(ErrorCode)


def test_anything_else_has_one_name() -> None:
    assert {NONE, OTHER}.isdisjoint(FAILURE_CODES)
    assert counted_code("timeout") == "timeout"
    assert counted_code("anything else") == OTHER
