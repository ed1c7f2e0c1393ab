"""Generated API: the table of lazy names and the type stub of ``import idefn_tf``.

Both are read from the marks in the source text (``@register(...)`` of `idefn_tf._registry`); no
module of the library is imported for it, and so TensorFlow neither.

    python -m idefn_tf._front_door            writes _homes.py and __init__.pyi
    python -m idefn_tf._front_door --check    fails where one of them is out of date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from idefn_tf._registry import SAVED

PACKAGE = Path(__file__).resolve().parent
#: The decorator itself, which cannot mark itself.
DECORATOR = ("register", "idefn_tf._registry")
_ORIGIN = "Generated from the marks in the source by `make front-door`; change those instead."


class Mark(NamedTuple):
    """One use of the decorator: what it stands over, where, and as what."""

    thing: str
    module: str
    kind: str
    public: bool


class FrontDoor(NamedTuple):
    """What ``import idefn_tf`` offers.

    Attributes:
        homes: public name -> the module that defines it.
        saved: modules whose classes saved Keras files may name.
        submodules: public packages and modules at the top.
    """

    homes: dict[str, str]
    saved: list[str]
    submodules: list[str]


def read_marks(text: str, module: str) -> Iterator[Mark]:
    """Finds ``@register(...)`` over the classes and functions of one source text.

    Raises:
        ValueError: if an argument is not written out as a constant.
    """
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "register":
                continue
            options = {k.arg: k.value for k in call.keywords}
            kind, public = options.get("kind"), options.get("public", ast.Constant(True))
            kind = call.args[0] if call.args else kind
            if not isinstance(kind, ast.Constant) or not isinstance(public, ast.Constant):
                raise ValueError(
                    f"{module}: @register over {node.name} must have constants as arguments, "
                    f"received {ast.unparse(call)}"
                )
            yield Mark(node.name, module, str(kind.value), bool(public.value))


def read_front_door(package: Path = PACKAGE) -> FrontDoor:
    """Reads every mark of a package.

    Raises:
        ValueError: if two public names are the same, or one is that of a submodule.
    """
    submodules = sorted(
        path.stem
        for path in package.iterdir()
        if not path.name.startswith(("_", "."))
        and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )
    homes, saved = dict([DECORATOR]), set()
    for path in sorted(package.rglob("*.py")):
        module = ".".join((package.name, *path.relative_to(package).with_suffix("").parts))
        for mark in read_marks(path.read_text(encoding="utf-8"), module.removesuffix(".__init__")):
            if mark.kind in SAVED:
                saved.add(mark.module)
            if not mark.public:
                continue
            other = package.name if mark.thing in submodules else homes.get(mark.thing)
            if other is not None:
                raise ValueError(
                    f"{mark.thing}: must be one public name, received it from {mark.module} and "
                    f"from {other}; rename one, or mark it with public=False"
                )
            homes[mark.thing] = mark.module
    return FrontDoor(dict(sorted(homes.items())), sorted(saved), submodules)


def write_table(door: FrontDoor) -> str:
    """Writes _homes.py."""
    homes = "".join(f'    "{name}": "{module}",\n' for name, module in door.homes.items())
    saved, submodules = (
        "".join(f'    "{name}",\n' for name in names) for names in (door.saved, door.submodules)
    )
    return (
        f'"""Table of lazy names: where `idefn_tf` finds what it offers.\n\n{_ORIGIN}\n"""\n\n'
        f"#: Public name -> the module that defines it.\nHOMES = {{\n{homes}}}\n"
        "#: Modules whose classes saved Keras files may name.\n"
        f"SAVED_IN = (\n{saved})\n"
        f"#: Public packages and modules of the library.\nSUBMODULES = (\n{submodules})\n"
    )


def write_stub(door: FrontDoor) -> str:
    """Writes __init__.pyi."""
    lines = [f"from idefn_tf import {name} as {name}\n" for name in door.submodules]
    by_home = sorted(door.homes.items(), key=lambda item: (item[1], item[0]))
    lines += [f"from {module} import {name} as {name}\n" for name, module in by_home]
    return (
        f'"""Types of `import idefn_tf`.\n\n{_ORIGIN}\n"""\n\n'
        f"{''.join(lines)}\n__version__: str\n__all__: list[str]\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Writes both files, or with --check says which is out of date."""
    door = read_front_door()
    made = {"_homes.py": write_table(door), "__init__.pyi": write_stub(door)}
    stale = []
    for name, text in made.items():
        path = PACKAGE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(
            f"idefn_tf: {' and '.join(stale)} must agree with the marks in the source; "
            "run make front-door\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
