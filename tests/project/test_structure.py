"""The rules of provider/ that no compiler checks: which way includes go, where functions are declared, sizes."""

from __future__ import annotations

import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from sources import PROVIDER, ROOT, classes, files, includes

MOST_METHODS = 25
MOST_LINES = 399


def test_methods_are_counted() -> None:
    text = """
    // class Comment { void no(); };
    template <class T>
    class Sample final : public Base<T> {
     public:
      explicit Sample(int a) : a_{a}, b_(a) {}
      Sample(const Sample&) = delete;
      ~Sample();
      std::function<int(int)> no;
      Meaning (*no)(int) = nullptr;
      int one() const { return two({1, 2}); }
      std::vector<std::pair<int, int>> two(std::vector<int> of = {}) const;
      bool operator==(const Sample&) const = default;
      template <class U>
      auto three(U u) -> decltype(u.x());
     private:
      struct Inner { void four(); int no = f(1); } inner_;
      int a_ = f(2), b_{f(3)};
    };"""
    assert classes(text) == {
        "Sample": ["Sample", "~Sample", "one", "two", "operator==", "three"],
        "Inner": ["four"],
    }


def test_no_class_has_many_methods() -> None:
    found = [(path, name, len(methods)) for path in files() for name, methods in classes(path.read_text()).items()]
    assert len(found) > 200
    assert not [(str(path), name, count) for path, name, count in found if count > MOST_METHODS]


@pytest.mark.parametrize("folder", ["provider", "python", "tests", "examples"])
def test_no_file_is_long(folder: str) -> None:
    lines = {
        path: len(path.read_text().splitlines())
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".h", ".cc", ".py", ".pyi")
    }
    assert lines
    assert not {str(path): count for path, count in lines.items() if count > MOST_LINES}


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_include_one_another() -> None:
    """A header and its source are one: what is behind a header is behind whoever includes it."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in files():
        of = str(path.relative_to(PROVIDER).with_suffix(""))
        graph[of] |= {str(other.relative_to(PROVIDER).with_suffix("")) for other in includes(path)} - {of}
    assert sum(map(len, graph.values())) > 500
    assert circle(graph) == []


def folder_of(path: Path) -> str:
    """The first level: what is below a folder belongs to it."""
    return path.relative_to(PROVIDER).parts[0]


def allowed_includes(text: str) -> dict[str, set[str]]:
    """By the map: rows of folders that know those to their right, and pairs of which one knows the other."""
    allowed: dict[str, set[str]] = defaultdict(set)
    for row in re.findall(r"`(\w+(?: > \w+)+)`", text.replace("\n", " ")):
        folders = row.split(" > ")
        for place, folder in enumerate(folders):
            allowed[folder] |= set(folders[place:])
    for folder, other in re.findall(r"\b(\w+)/ knows (\w+)/", text.replace("\n", " ")):
        allowed[folder].add(other)
    return allowed


def test_folders_include_only_what_the_map_says() -> None:
    allowed = allowed_includes((PROVIDER / "README.md").read_text())
    assert set(allowed) == {path.name for path in PROVIDER.iterdir() if path.is_dir()}
    assert circle({folder: others - {folder} for folder, others in allowed.items()}) == []
    against = [
        f"{path.relative_to(PROVIDER)} includes {other.relative_to(PROVIDER)}"
        for path in files()
        for other in includes(path)
        if folder_of(other) not in allowed[folder_of(path)]
    ]
    assert not against


def listed_recognisers() -> dict[Path, list[str]]:
    """Functions by the file under whose name recognisers.h declares them."""
    listed: dict[Path, list[str]] = {}
    current: list[str] | None = None
    for line in (PROVIDER / "recognise" / "recognisers.h").read_text().splitlines():
        if named := re.fullmatch(r"// (\S+\.cc)", line):
            current = listed.setdefault(PROVIDER / "recognise" / named[1], [])
        elif declared := re.match(r"[^/ ].*?\b(\w+)\(.*\);", line):
            assert current is not None, line
            current.append(declared[1])
    return listed


def test_recognisers_stand_in_the_file_that_the_list_names() -> None:
    listed = listed_recognisers()
    assert sum(map(len, listed.values())) > 25
    for path, functions in listed.items():
        for function in functions:
            assert re.search(rf"^\S.*\b{function}\(", path.read_text(), re.MULTILINE), f"{function} is not in {path}"


@pytest.mark.parametrize("folder", ["ops", "recognise", "price", "lower"])
def test_sources_have_a_header_of_their_own_or_are_listed(folder: str) -> None:
    sources = set((PROVIDER / folder).rglob("*.cc"))
    assert sources
    headless = {path for path in sources if not path.with_suffix(".h").exists()}
    assert not headless - set(listed_recognisers())
