"""What a program's own argparse says of some arguments, without running the program."""

from __future__ import annotations

import argparse
import ast
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

from pixi_scaffold.rules.programs import nodes, parsed
from pixi_scaffold.rules.texts import read_bytes

_TYPES = {"int": int, "float": float, "str": str, "Path": str}
_ACTIONS = frozenset(
    {"store", "store_true", "store_false", "store_const", "append", "append_const", "count"}
)
_ADD = "add_argument"
_OTHER_WAYS = ("add_subparsers", "parse_known_args", "parse_known_intermixed_args", "set_defaults")


class _RefusedOptionError(Exception):
    """argparse would end the program: its words."""


class _OptionParser(argparse.ArgumentParser):
    """A parser that raises in place of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise _RefusedOptionError(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _RefusedOptionError(message or "") if status else _DoneError


class _DoneError(Exception):
    """The arguments ask for help, or the version."""


def refusal(program: Path, words: Sequence[str]) -> str:
    """Return why a program's argparse refuses some words; empty when it takes them.

    Empty, too, for a program that cannot be understood: one without exactly one plain
    ArgumentParser, with subcommands, or with arguments whose names are worked out.
    """
    try:
        main = _read(read_bytes(program))
        others = (_read(read_bytes(program.with_name(f"{n}.py"))) for n in main.handed_to)
        _built(main, *others).parse_args(list(words))
    except _RefusedOptionError as error:
        return str(error)
    except (_UnknownError, _DoneError, TypeError, ValueError, argparse.ArgumentError):
        return ""
    return ""


_PLAIN = ("description", "prog", "epilog", "usage", "formatter_class", "allow_abbrev")


@lru_cache(maxsize=64)
def _built(main: _Source, *others: _Source) -> _OptionParser:
    """Return the parser of a program and the modules that get it; jobs that share them ask once."""
    given = {k.arg: getattr(k.value, "value", True) for k in main.made.keywords}
    parser = _OptionParser(prog="program", allow_abbrev=given.get("allow_abbrev") is not False)
    for one in (main, *others):
        for call in one.added:
            names, settings = _argument(call, one)
            parser.add_argument(*names, **settings)
    return parser


class _Source:
    """One module: its calls, and the short names that it gives to others' functions."""

    def __init__(self, source: bytes) -> None:
        tree = parsed(source)
        if tree is None or any(name.encode() in source for name in _OTHER_WAYS):
            raise _UnknownError
        self.nodes = nodes(source)
        self.calls = [node for node in self.nodes if isinstance(node, ast.Call)]
        self.constants = _constants(tree)
        self.functions = {n.name for n in self.nodes if isinstance(n, ast.FunctionDef)}
        self.imported = {
            alias.asname or alias.name: node.module or ""
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.forwards = dict(_forwarding(self.nodes))
        self.short = {**dict(_short_names(self.nodes)), **dict.fromkeys(self.forwards, _ADD)}

    def name(self, node: ast.expr) -> str:
        """Return the last name of `a.b.c`, or what a short name stands for."""
        name = _name(node)
        return self.short.get(name, name) if isinstance(node, ast.Name) else name

    @cached_property
    def made(self) -> ast.Call:
        """The one ArgumentParser; raises _UnknownError where there is none that is plain."""
        made = [call for call in self.calls if self.name(call.func) == "ArgumentParser"]
        if len(made) != 1 or made[0].args or any(k.arg not in _PLAIN for k in made[0].keywords):
            raise _UnknownError
        return made[0]

    @cached_property
    def handed_to(self) -> tuple[str, ...]:
        """The modules beside the program that get its parser, to add arguments of their own."""
        inside = {
            target.id
            for node in self.nodes
            if isinstance(node, ast.Assign) and node.value is self.made
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        functions = dict.fromkeys(
            call.func
            for call in self.calls
            if any(isinstance(arg, ast.Name) and arg.id in inside for arg in call.args)
        )
        modules: list[str] = []
        for function in functions:
            if isinstance(function, ast.Name) and function.id in self.functions:
                continue  # its calls are among the program's own
            name = self.imported.get(getattr(function, "id", ""), "")
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                name = function.value.id
            if not name:
                raise _UnknownError
            modules.append(name)
        return tuple(modules)

    @cached_property
    def added(self) -> list[ast.Call]:
        """Return the add_argument calls; raises _UnknownError when it is used in other ways."""
        calls = [call for call in self.calls if self.name(call.func) == _ADD]
        used = sum(isinstance(n, ast.Attribute) and n.attr == _ADD for n in self.nodes)
        direct = sum(_name(call.func) == _ADD for call in calls)
        short = sum(name == _ADD for name in self.short.values()) - len(self.forwards)
        if used != direct + short:
            raise _UnknownError
        return [call for call in calls if call not in self.forwards.values()]


@lru_cache(maxsize=64)
def _read(source: bytes | None) -> _Source:
    """Return what a module says; raises _UnknownError. Jobs that share a program ask once."""
    if source is None:
        raise _UnknownError
    return _Source(source)


def _forwarding(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.Call]]:
    """Yield functions that hand what they get on to add_argument, and the call in them."""
    for function in nodes:
        if isinstance(function, ast.FunctionDef) and function.args.kwarg is not None:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _name(node.func) == _ADD:
                    last = node.keywords[-1] if node.keywords else None
                    if last and last.arg is None and _name(last.value) == function.args.kwarg.arg:
                        yield function.name, node


def _short_names(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield what `add = parser.add_argument` and `a, b = x.c, y.d` make shorter."""
    for node in nodes:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for left, right in pairs:
            if isinstance(left, ast.Name) and isinstance(right, ast.Attribute):
                yield left.id, right.attr


class _UnknownError(Exception):
    """An argument is declared in a way that is not understood here."""


def _argument(call: ast.Call, source: _Source) -> tuple[list[str], dict[str, Any]]:
    """Return names and settings of an add_argument call, those that decide what is taken."""
    names = []
    for node in call.args:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            raise _UnknownError
        names.append(node.value)
    settings: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _UnknownError
        if keyword.arg in ("nargs", "required", "dest", "const"):
            settings[keyword.arg] = _value(keyword.value, source.constants, needed=True)
        elif keyword.arg == "action":
            settings["action"] = _action(keyword.value, source)
        elif keyword.arg == "type":
            settings["type"] = _TYPES.get(_name(keyword.value), str)
        elif keyword.arg == "choices":
            choices = _value(keyword.value, source.constants, needed=False)
            if choices is not None:
                settings["choices"] = list(choices)
    if "choices" in settings and "type" not in settings:
        settings["choices"] = [str(choice) for choice in settings["choices"]]
    if str(settings.get("action", "")).startswith(("store_", "count")):
        settings.pop("type", None)
    return names, settings


def _action(node: ast.expr, source: _Source) -> Any:
    if source.name(node) == "BooleanOptionalAction":
        return argparse.BooleanOptionalAction
    if isinstance(node, ast.Constant) and node.value in _ACTIONS:
        return node.value
    raise _UnknownError


def _value(node: ast.expr, constants: dict[str, Any], *, needed: bool) -> Any:
    """Return a constant, also one that a module gives a name; raises _UnknownError if needed."""
    if isinstance(node, ast.Call) and _name(node.func) in ("list", "sorted", "tuple") and node.args:
        node = node.args[0]
    if isinstance(node, ast.Call) and _name(node.func) == "keys":
        node = node.func.value if isinstance(node.func, ast.Attribute) else node
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        if needed:
            raise _UnknownError from None
        return None


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the module's names that are given a literal, or a table with literal keys, once."""
    constants: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
                keys = [k for k in value.keys if k] if isinstance(value, ast.Dict) else []
                if isinstance(value, ast.Dict) and len(keys) == len(value.keys):
                    value = ast.List(elts=keys)
                constants.pop(name, None)
                with contextlib.suppress(ValueError, TypeError, SyntaxError):
                    constants[name] = ast.literal_eval(value)
    return constants


def _name(node: ast.expr) -> str:
    """Return the last name of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
