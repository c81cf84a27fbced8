"""What goes onto a launch's PYTHONPATH arms every Python there is, and leaves its own `sitecustomize` in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from watcher.control.pack import armed_environment, is_packed, packed

ROOT = Path(__file__).parents[2]
OLD = sorted(Path.home().glob(".pyenv/versions/*/bin/python"))
"""Other Pythons, where this machine has some."""
TELLS = "import sys; print('_watcher_control_v1.arm' in sys.modules, sys.modules['sitecustomize'].__file__)"
QUIET = "import sys; print('fine')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(packed(str(tmp_path)))


def run(python: str, *words: str, path: str, control: Path, **more: str) -> tuple[int, str, str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "WATCHER_LAUNCH": "id", **more}
    environment["WATCHER_CONTROL_DIR"] = str(control)
    done = subprocess.run([python, *words], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_it_holds_the_site_file_and_one_package_of_sources(site: Path) -> None:
    assert {one.name for one in site.iterdir()} == {"sitecustomize.py", "_watcher_control_v1"}
    kinds = {one.suffix for one in site.rglob("*") if one.is_file()}
    assert kinds == {".py"}
    assert (site / "_watcher_control_v1" / "protocol.py").is_file()


def test_it_is_written_once(tmp_path: Path, site: Path) -> None:
    before = (site / "sitecustomize.py").stat()
    assert packed(str(tmp_path)) == str(site)
    assert (site / "sitecustomize.py").stat() == before
    assert [one.name for one in tmp_path.iterdir()] == [site.name]


def test_launches_at_one_time_write_it_once_and_whole(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from watcher.control.pack import packed; print(packed('.'))"
    )
    many = [subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(6)]
    said = {process.communicate()[0] for process in many}
    assert [process.returncode for process in many] == [0] * 6
    (folder,) = tmp_path.iterdir()
    assert said == {f"./{folder.name}\n".encode()}
    assert is_packed(str(folder))


def test_a_process_is_armed(site: Path, tmp_path: Path) -> None:
    status, out, err = run(sys.executable, "-c", TELLS, path=str(site), control=tmp_path)
    assert (status, out.split()[0], err) == (0, "True", "")


@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_another_python_is_armed_or_left_alone(python: Path, site: Path, tmp_path: Path) -> None:
    version = run(
        str(python),
        "-c",
        "import sys; print(sys.version_info[0] * 100 + sys.version_info[1])",
        path="",
        control=tmp_path,
    )
    status, out, err = run(str(python), "-c", TELLS, path=str(site), control=tmp_path)
    assert (status, err) == (0, "")
    assert out.startswith(("True", "(True")) is (int(version[1]) >= 308)
    assert not (tmp_path / "hook.log").exists()


def test_a_sitecustomize_further_along_the_path_runs_and_is_the_one_that_is_seen(site: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("import sys\nsys.own = __name__, __spec__.name\n")
    tells = f"import sys; print(sys.own); {TELLS}"
    _, alone, _ = run(sys.executable, "-c", tells, path=str(tmp_path / "own"), control=tmp_path)
    _, out, err = run(sys.executable, "-c", tells, path=f"{site}:{tmp_path / 'own'}", control=tmp_path)
    assert (out, err) == (alone.replace("False", "True"), "")


@pytest.mark.skipif(not Path("/usr/lib/python3.11/sitecustomize.py").exists(), reason="not Debian's Python 3.11")
def test_the_systems_own_one_runs(site: Path, tmp_path: Path) -> None:
    _, out, _ = run("/usr/bin/python3.11", "-c", TELLS, path=str(site), control=tmp_path)
    assert out == "True /usr/lib/python3.11/sitecustomize.py\n"


def test_one_that_fails_says_so_as_without_us(site: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    alone = run(sys.executable, "-c", QUIET, path=str(tmp_path / "own"), control=tmp_path)
    assert "theirs" in alone[2]
    assert run(sys.executable, "-c", QUIET, path=f"{site}:{tmp_path / 'own'}", control=tmp_path) == alone


def test_one_that_itself_looks_for_the_next_is_run_once(site: Path, tmp_path: Path) -> None:
    chains = (
        "import sys, os\n"
        "sys.count = getattr(sys, 'count', 0) + 1\n"
        "from importlib.machinery import PathFinder\nfrom importlib.util import module_from_spec\n"
        "rest = [one for one in sys.path if one != os.path.dirname(__file__)]\n"
        "spec = PathFinder.find_spec('sitecustomize', rest)\n"
        "spec.loader.exec_module(module_from_spec(spec))\n"
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text(chains)
    tells = "import sys; print(sys.count, '_watcher_control_v1.arm' in sys.modules)"
    _, out, err = run(sys.executable, "-c", tells, path=f"{tmp_path / 'own'}:{site}", control=tmp_path)
    assert (out, err) == ("1 True\n", "")


@pytest.mark.parametrize("how", ["raise RuntimeError('ours')", "def arm(): raise RuntimeError('ours')", "1 +"])
def test_a_failure_of_ours_is_written_down_and_never_reaches_the_program(site: Path, tmp_path: Path, how: str) -> None:
    (site / "_watcher_control_v1" / "arm.py").write_text(f"{how}\n")
    assert run(sys.executable, "-c", QUIET, path=str(site), control=tmp_path) == (0, "fine\n", "")
    log = (tmp_path / "hook.log").read_text()
    assert ("ours" in log) or ("SyntaxError" in log)
    assert run(sys.executable, "-c", QUIET, path=str(site), control=tmp_path / "none") == (0, "fine\n", "")


def test_nothing_heavy_is_loaded_by_being_armed(site: Path, tmp_path: Path) -> None:
    tells = "import sys; print(*sorted(sys.modules))"
    _, armed, _ = run(sys.executable, "-S", "-c", f"import sitecustomize; {tells}", path=str(site), control=tmp_path)
    costly = {"typing", "importlib.util", "contextlib", "re", "json", "pathlib", "subprocess", "torch", "watcher"}
    assert not costly & set(armed.split()), "every Python process of a training pays for this"


GIVEN = {"A": "b"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "S"), ({"PYTHONPATH": ""}, "S"), ({"PYTHONPATH": "x:y"}, "S:x:y"), ({"PYTHONPATH": ":x"}, "S::x")],
)
def test_the_path_is_kept_behind_ours(given: Mapping[str, str], expected: str) -> None:
    made = armed_environment({**GIVEN, **given}, "S", "control", "id")
    assert made == {**GIVEN, "PYTHONPATH": expected, "WATCHER_CONTROL_DIR": "control", "WATCHER_LAUNCH": "id"}


def test_the_folder_of_a_launch_around_this_one_is_left_out(site: Path) -> None:
    assert is_packed(str(site))
    made = armed_environment({"PYTHONPATH": f"{site}:x"}, "S", "control", "id")
    assert made["PYTHONPATH"] == "S:x"
