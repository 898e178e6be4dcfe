"""The stubs of the extension module name what it has, and nothing else. mypy's stubtest would not see the signatures of
pybind11's functions: they stand in docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from onnxruntime_ep_sparsecpu import _native

PACKAGE = Path(str(_native.__file__)).parent
# Results that have one name. Others are called by what the caller needs to know of them.
PLAIN_RESULTS = ("None", "bool", "int", "float", "str", "bytes")

# By its qualified name, what each member is: "module", "class", "constant", "property", "attribute", or signatures.
Members = dict[str, str | list[str]]


def signature(function: ast.FunctionDef) -> str:
    """Names of parameters (_: those that are given by their place alone), "=" behind those that may be left out."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    required = len(arguments) - len(function.args.defaults)
    names = []
    for place, argument in enumerate(arguments):
        if argument.arg == "self":
            continue
        by_place = argument in function.args.posonlyargs or re.fullmatch(r"arg\d+", argument.arg)
        names.append(("_" if by_place else argument.arg) + ("=" if place >= required else ""))
    result = ast.unparse(function.returns) if function.returns is not None else ""
    return f"({', '.join(names)}) -> {result if result in PLAIN_RESULTS else '...'}"


def signatures_in(docstring: str, name: str) -> list[str]:
    """One, or a numbered one of each overload."""
    lines = re.findall(rf"^(?:\d+\. )?({name}\((?!\*args).*\) -> .*)$", docstring, re.MULTILINE)
    functions = [ast.parse(f"def {line}: ...").body[0] for line in lines]
    return [signature(function) for function in functions if isinstance(function, ast.FunctionDef)]


def members_of(owner: ModuleType | type, prefix: str = "") -> Members:
    found: Members = {}
    for name, member in vars(owner).items():
        full = prefix + name
        if name == "__init__":
            if signatures := signatures_in(member.__doc__, name):
                found[full] = signatures
        elif name.startswith("_") and name != "__version__":
            continue
        elif isinstance(member, ModuleType | type):
            found[full] = "module" if isinstance(member, ModuleType) else "class"
            found |= members_of(member, full + ".")
        elif isinstance(member, property):
            found[full] = "property" if member.fset is None else "attribute"
        elif callable(member):
            found[full] = signatures_in(str(member.__doc__), name)
        else:
            found[full] = "constant"
    return found


def members_in(statements: list[ast.stmt], prefix: str, in_class: bool = False) -> Members:
    found: Members = {}
    for statement in statements:
        if isinstance(statement, ast.ClassDef):
            full = prefix + statement.name
            found |= {full: "class"} | members_in(statement.body, full + ".", in_class=True)
        elif isinstance(statement, ast.FunctionDef):
            full = prefix + statement.name
            if "property" in map(ast.unparse, statement.decorator_list):
                found[full] = "property"
            else:
                earlier = found.get(full, [])
                assert isinstance(earlier, list)
                found[full] = [*earlier, signature(statement)]
        elif isinstance(statement, ast.AnnAssign) and ast.unparse(statement.annotation) != "TypeAlias":
            if ast.unparse(statement.target) == "__members__":
                continue
            constant = not in_class or ast.unparse(statement.annotation).startswith("ClassVar")
            found[prefix + ast.unparse(statement.target)] = "constant" if constant else "attribute"
    return found


def stub_files(folder: Path, prefix: str = "") -> Iterator[tuple[Path, str]]:
    """Of every module, with its name and a dot."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from stub_files(path, f"{prefix}{path.name}.")
        else:
            yield path, prefix if path.stem == "__init__" else f"{prefix}{path.stem}."


def test_stubs_and_module_have_the_same_members() -> None:
    stubs: Members = {}
    for path, prefix in stub_files(PACKAGE / "_native"):
        if prefix:
            stubs[prefix[:-1]] = "module"
        stubs |= members_in(ast.parse(path.read_text()).body, prefix)
    assert stubs == members_of(_native)


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
