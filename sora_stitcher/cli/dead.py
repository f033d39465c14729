"""`dead`: the messages that were given up: why, and what becomes of them."""

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sora_stitcher.cli.errors import usage
from sora_stitcher.cli.output import OK_MARK, age, console, print_json, printable

if TYPE_CHECKING:
    from rich.console import Console

    from shared.bus.protocol import Bus, DeadLetter

T = TypeVar("T")

ALL_LETTERS = 100_000
_ID_SHOWN = 8
_NO_BROKER = (
    "dead letters lie in the broker, and RABBITMQ_URL is not set. A system without a broker (`sora-stitcher up` as it "
    "is) holds them in its own process only, until it ends. Their jobs: `sora-stitcher jobs --status failed`"
)

IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Letters, by the beginning of their ids.")]
QueueOption = Annotated[
    str | None, typer.Option(metavar="QUEUE", help="Only letters of this queue, e.g. stitcher.video.ready.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All letters (of --queue, if given).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

family = typer.Typer(rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.add_typer(family, name="dead")


@family.callback(invoke_without_command=True)
def _root(ctx: typer.Context) -> None:
    """List, show, replay or drop messages that were given up."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@family.command("list")
def list_(
    queue: QueueOption = None,
    limit: Annotated[int, typer.Option(min=1, show_default=True, help="How many at most.")] = 100,
    json: JsonOption = False,
) -> None:
    """List dead letters, oldest first.

    With id, queue, age, attempts, job and reason.
    """
    letters = _on_bus(lambda bus: bus.dead_letters(queue, limit))
    if json:
        print_json([_as_json(letter) for letter in letters])
        return
    out = console()
    if not letters:
        out.print(f"{OK_MARK} No dead letters.", style="green")
    for letter in letters:
        _print_short(out, letter)


@family.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The letter, by the beginning of its id.")],
    json: JsonOption = False,
) -> None:
    """Show one dead letter as a whole."""
    (found,) = _chosen(_on_bus(lambda bus: bus.dead_letters(None, ALL_LETTERS)), [letter])
    if json:
        print_json(_as_json(found))
        return
    out = console()
    for name, value in (
        ("id", found.id),
        ("queue", found.queue),
        ("died", f"{age(time.time() - found.died_at / 1000)} ago, after {found.attempts} attempts"),
        ("reason", found.reason),
        ("job", found.event.subject),
        ("event", f"{found.event.type} {found.event.id}"),
        ("sent", found.event.time),
        ("data", str(found.event.data)),
    ):
        out.print(f"{name:<7} {printable(value)}", soft_wrap=True)


@family.command()
def replay(
    ids: IdsArgument = None, queue: QueueOption = None, every: AllOption = False, json: JsonOption = False
) -> None:
    """Put dead letters back to work.

    They count as first attempts again. Mend the cause before.
    """
    count = _apply(ids or [], queue, every=every, action=lambda bus, *place: bus.replay_dead(*place))
    _say_count("replayed", count, as_json=json)


@family.command()
def drop(
    ids: IdsArgument = None,
    queue: QueueOption = None,
    every: AllOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before dropping all.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete dead letters for good."""
    if every and not yes:
        if not sys.stdin.isatty():
            raise usage("dropping all letters cannot be undone: confirm with --yes")
        typer.confirm(f"Delete all dead letters{f' of {queue}' if queue else ''}?", abort=True, err=True)
    count = _apply(ids or [], queue, every=every, action=lambda bus, *place: bus.drop_dead(*place))
    _say_count("dropped", count, as_json=json)


Action = Callable[..., Awaitable[int]]


def _apply(ids: Sequence[str], queue: str | None, *, every: bool, action: Action) -> int:
    """Do something with the letters that are meant; return how many they were."""
    if bool(ids) == every:
        raise usage("name letters by their ids (see `sora-stitcher dead list`), or say --all")

    async def work(bus: "Bus") -> int:
        letters = await bus.dead_letters(queue, ALL_LETTERS)
        if every:
            queues = sorted({letter.queue for letter in letters})
            return sum([await action(bus, name) for name in queues])
        return sum([await action(bus, letter.queue, letter.id) for letter in _chosen(letters, ids)])

    return _on_bus(work)


def _chosen(letters: "Sequence[DeadLetter]", ids: Sequence[str]) -> "list[DeadLetter]":
    """Return the letters that ids, or beginnings of ids, name.

    Raises:
        CommandError: one names no letter, or several.
    """
    chosen = {}
    for wanted in ids:
        found = [letter for letter in letters if letter.id.startswith(wanted)]
        if len(found) != 1:
            how_many = "no dead letter has" if not found else f"{len(found)} dead letters have"
            raise usage(
                f"{how_many} an id that begins with {wanted!r}: `sora-stitcher dead list --json` shows them whole"
            )
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def _on_bus(work: "Callable[[Bus], Awaitable[T]]") -> T:
    """Do something with the broker's bus.

    Raises:
        CommandError: there is no broker, or no such queue.
        DependencyDown: it does not answer.
    """
    import asyncio

    from shared.bus.letters import UnknownQueue
    from shared.bus.rabbit import RabbitBus
    from shared.bus.topology import SUBSCRIPTIONS
    from shared.logs import configure_logging
    from shared.settings import Settings

    url = Settings.load().rabbitmq_url
    if url is None:
        raise usage(_NO_BROKER)
    configure_logging("dead", "error", "console")

    async def session() -> T:
        bus = RabbitBus(url.get_secret_value(), SUBSCRIPTIONS)
        try:
            await bus.start()
            return await work(bus)
        except UnknownQueue as error:
            raise usage(str(error)) from error
        finally:
            await bus.close()

    return asyncio.run(session())


def _as_json(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "diedAt": letter.died_at,
        "job": letter.event.subject,
        "event": letter.event.model_dump(mode="json", by_alias=True),
    }


def _print_short(out: "Console", letter: "DeadLetter") -> None:
    died = age(time.time() - letter.died_at / 1000)
    tries = f"{letter.attempts} {'try' if letter.attempts == 1 else 'tries'}"
    out.print(
        f"{letter.id[:_ID_SHOWN]}  {letter.queue}  {died} ago, {tries}  {printable(letter.event.subject)}",
        style="bold",
        soft_wrap=True,
    )
    out.print(f"{'':<{_ID_SHOWN}}  {printable(letter.reason)}", style="red", soft_wrap=True)


def _say_count(what: str, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({what: count})
    else:
        console().print(f"{OK_MARK} {what} {count} dead letter{'s' if count != 1 else ''}", style="green")
