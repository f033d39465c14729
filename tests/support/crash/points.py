"""The list of crash points, read from the code: every place where a step waits for something outside.

A point is an `await`, the entering or leaving of an `async with`, or a turn of an `async for`. Killing a process right
there, before the wait begins, shows whether what was done so far is enough to go on from. Between two points nothing
happens that another process could see but what the awaited calls did, so these are all the crashes there are.

Names are stable as long as a function keeps its waits: `generator.ordering:Ordering._order:2` is the third of them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

MARK_AWAIT = "__crash_await__"
MARK_WITH = "__crash_with__"
MARK_FOR = "__crash_for__"


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the code where a process can be killed.

    Attributes:
        name: `module:function:n`; the module without `services.` or `shared.`.
        line: where it is, for people.
        waits_for: the source that is awaited, shortened.
    """

    name: str
    line: int
    waits_for: str

    @property
    def function(self) -> str:
        """The name without its number."""
        return self.name.rpartition(":")[0]


class _Numberer(ast.NodeTransformer):
    """Finds the points of a module in the order of the source, and puts a call in front of each."""

    def __init__(self, module: str) -> None:
        self._module = module.removeprefix("services.")
        self._scope: list[str] = []
        self._counts: dict[str, int] = {}
        self.points: list[Point] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._scoped(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._scoped(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._scoped(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        shown = node.value
        number = self._point(node, shown)
        self.generic_visit(node)
        node.value = _marked(MARK_AWAIT, number, node.value)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        for item in node.items:
            number = self._point(item.context_expr, item.context_expr, "enter ")
            self._point(item.context_expr, item.context_expr, "leave ")
            item.context_expr = _marked(MARK_WITH, number, self.visit(item.context_expr))
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        node.iter = _marked(MARK_FOR, self._point(node.iter, node.iter, "next of "), node.iter)
        self.generic_visit(node)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if node.is_async:
            node.iter = _marked(MARK_FOR, self._point(node.iter, node.iter, "next of "), node.iter)
        self.generic_visit(node)
        return node

    def _scoped(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    def _point(self, place: ast.expr, shown: ast.expr, prefix: str = "") -> int:
        function = f"{self._module}:{'.'.join(self._scope)}"
        number = self._counts.get(function, 0)
        self._counts[function] = number + 1
        text = " ".join(ast.unparse(shown).split())
        self.points.append(Point(f"{function}:{number}", place.lineno, f"{prefix}{text[:80]}"))
        return len(self.points) - 1


def _marked(mark: str, number: int, value: ast.expr) -> ast.expr:
    call = ast.Call(func=ast.Name(id=mark, ctx=ast.Load()), args=[ast.Constant(number), value], keywords=[])
    return ast.fix_missing_locations(ast.copy_location(call, value))


def instrumented(module: str, source: bytes) -> tuple[ast.Module, tuple[Point, ...]]:
    """Return the module's tree with a call in front of every point, and the points; marks get a point's index."""
    tree = ast.parse(source)
    numberer = _Numberer(module)
    changed = numberer.visit(tree)
    assert isinstance(changed, ast.Module)
    return changed, tuple(numberer.points)


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    """Yield name and file of every module below packages of the project."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path
