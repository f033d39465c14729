"""`submit --file`: many films, one summary."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sora_stitcher.cli.errors import CommandError, ExitCode, exit_code_of, sentence_of, usage
from sora_stitcher.cli.output import FAILED_MARK, OK_MARK, console, print_json, printable, wrapped

if TYPE_CHECKING:
    from sora_stitcher.client import Client
    from sora_stitcher.models import BatchItem, BatchResult, Job

_STANDARD_INPUT = "-"


def submit_file(
    client: "Client", path: Path, idempotency_key: str | None, *, dry_run: bool, wait: bool, as_json: bool
) -> None:
    """Order a film for every line of a file and print what became of each.

    Raises:
        CommandError: the file cannot be read (nothing was ordered), ordering ended early, a film was refused, or
            (watched) not completed.
    """
    from sora_stitcher._calls import new_key

    places, films = read_films(_text_of(path), str(path))
    if dry_run:
        films = [{**film, "dryRun": True} for film in films]
    key = idempotency_key or new_key()
    result = _ordered(client, films, key, dry_run=dry_run)
    ended = _ended(client, result, key) if wait and not dry_run else {}
    if as_json:
        print_json(_summary(result, places, ended, key))
    else:
        _print(result, places, ended, dry_run=dry_run)
    if result.refused:
        again = "" if dry_run else f"; mended and repeated with --idempotency-key {key}, the others are not made twice"
        raise CommandError(f"{_films(result.refused)} of {len(films)} refused{again}", ExitCode.REFUSED)
    failed = sum(job.status != "completed" for job in ended.values())
    if failed:
        raise CommandError(f"{_films(failed)} of {len(ended)} not completed")


def _ordered(client: "Client", films: list[dict[str, Any]], key: str, *, dry_run: bool) -> "BatchResult":
    """Order all films.

    Raises:
        ClientError: they could not be ordered, none of them.
        CommandError: it ended early, and some may be ordered; says how to go on.
    """
    from sora_stitcher.errors import ClientError

    again = f"some of the films may be ordered; repeated with --idempotency-key {key}, none is made twice"
    try:
        return client.batch(films, idempotency_key=key)
    except KeyboardInterrupt:
        text = "interrupted" if dry_run else f"interrupted; {again}"
        raise CommandError(text, ExitCode.INTERRUPTED) from None
    except ClientError as error:
        is_ordered = error.idempotency_key is not None and not dry_run
        error.idempotency_key = None  # told here, in words for many films
        if not is_ordered:
            raise
        raise CommandError(f"{sentence_of(error)}; {again}", exit_code_of(error)) from error


def _ended(client: "Client", result: "BatchResult", key: str) -> "dict[int, Job]":
    """Wait for all films that were taken; return their jobs by their place.

    Raises:
        CommandError: waiting was interrupted, or the system went away; says how to go on.
    """
    from sora_stitcher.errors import ClientError

    again = f"the films go on; repeated with --idempotency-key {key}, they are watched again and none is made twice"
    try:
        return {item.index: client.wait(item.job_id) for item in result.items if item.job_id is not None}
    except KeyboardInterrupt:
        raise CommandError(f"stopped watching; {again}", ExitCode.INTERRUPTED) from None
    except ClientError as error:
        raise CommandError(f"{sentence_of(error)}; {again}", exit_code_of(error)) from error


def read_films(text: str, name: str) -> tuple[list[int], list[dict[str, Any]]]:
    """Return what a file asks for, and where each film stands in it: its line, or its place in the array, from 1.

    Raises:
        CommandError: it is not JSON Lines, and no JSON array either; names the line.
    """
    if text.lstrip().startswith("["):
        films = _array(text, name)
        places = list(range(1, len(films) + 1))
    else:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        places = [number for number, _ in lines]
        films = [_json(line, f"{name}, line {number}") for number, line in lines]
    for place, film in zip(places, films, strict=True):
        if not isinstance(film, dict):
            raise usage(f'{name}, {place}: a film is a JSON object like {{"clips": [{{"prompt": "…"}}]}}')
    if not films:
        raise usage(f"{name} asks for no film: give one JSON object a line")
    return places, films


def _array(text: str, name: str) -> list[Any]:
    films = _json(text, name)
    assert isinstance(films, list), "JSON that begins with a bracket is an array"
    return films


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise usage(f"{place}: no valid JSON ({error}); nothing was ordered") from None


def _text_of(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == _STANDARD_INPUT else path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise usage(f"cannot read {path}: {why}") from error


def _summary(result: "BatchResult", places: list[int], ended: "dict[int, Job]", key: str) -> dict[str, Any]:
    items = []
    for item in result.items:
        told = {"line": places[item.index], **item.as_json()}
        if (job := ended.get(item.index)) is not None:
            told["job"] = job.as_json()
        items.append(told)
    summary = {"idempotencyKey": key, "accepted": result.accepted, "refused": result.refused, "items": items}
    if ended:
        summary["completed"] = sum(job.status == "completed" for job in ended.values())
    return summary


def _print(result: "BatchResult", places: list[int], ended: "dict[int, Job]", *, dry_run: bool) -> None:
    out = console()
    width = len(str(max(places)))
    for item in result.items:
        mark, text, style = _line(item, ended.get(item.index))
        line = f"{places[item.index]:>{width}}  {mark} {printable(text)}"
        out.print(wrapped(out, line, width + 4), style=style, soft_wrap=True)
    what = "would be accepted" if dry_run else "accepted"
    credits_ = sum((item.model_extra or {}).get("credits", {}).get("max", 0) for item in result.items)
    cost = f", for up to {credits_:g} credits" if dry_run else ""
    done = f", {sum(job.status == 'completed' for job in ended.values())} completed" if ended else ""
    out.print(f"{_films(result.accepted)} {what}{cost}{done}; {result.refused} refused", style="bold")


def _line(item: "BatchItem", job: "Job | None") -> tuple[str, str, str]:
    """Return the mark, the text and the style of one film's line."""
    from sora_stitcher.cli.following import how_it_failed

    if item.error is not None:
        return FAILED_MARK, item.error, "red"
    if job is None:
        return OK_MARK, item.job_id or "fine", ""
    if job.status != "completed":
        return FAILED_MARK, how_it_failed(job), "red"
    return OK_MARK, f"{job.job_id}  {job.video_url or ''}", "green"


def _films(count: int) -> str:
    return f"{count} film{'s' if count != 1 else ''}"
