"""Generates `generated/` from `proto/`, and from both Envoy's configuration: `python tools/generate.py [--check]`.

``--check`` writes nothing; it lists the files that are out of step and ends with status 1 if there are any.

The result depends only on the contract and on the pinned tools. The google protos are compiled into the
descriptor but not into stubs: their Python modules are those of the package ``googleapis-common-protos``.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
GENERATED = ROOT / "generated"
ENVOY = ROOT / "envoy" / "envoy.yaml"
PACKAGE = Path("llmgateway/v1")
TIMEOUT_S = 120.0
INIT_TEXT = '"""Generated from proto/ by tools/generate.py. Do not edit."""\n'


def tool(name: str) -> Path:
    """The program that the interpreter's own environment has installed; raises SystemExit when it has none.

    PATH is not searched, so that the pinned version is the one that runs.
    """
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.is_file():
        raise SystemExit(f"{name} is not installed beside {sys.executable}; install requirements/dev.lock")
    return path


def run(*command: str | Path) -> None:
    """Runs one tool in the repository's root; raises SystemExit with the tool's output when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")


def write_stubs(out: Path) -> None:
    """Writes the messages (typed), the services (typed) and the package files."""
    sources = sorted(path.relative_to(PROTO).as_posix() for path in (PROTO / PACKAGE).glob("*.proto"))
    services = [name for name in sources if name.endswith("_service.proto")]
    well_known = resources.files("grpc_tools") / "_proto"
    protoc = (
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={well_known}",
    )
    run(*protoc, f"--python_out={out}", f"--pyi_out={out}", *sources)
    plugin = f"--plugin=protoc-gen-mypy_grpc={tool('protoc-gen-mypy_grpc')}"
    run(*protoc, plugin, f"--grpc_python_out={out}", f"--mypy_grpc_out={out}", *services)
    for package in (PACKAGE, *PACKAGE.parents[:-1]):
        (out / package / "__init__.py").write_text(INIT_TEXT, encoding="utf-8")


def write_descriptor(out: Path) -> None:
    """Writes the descriptor that Envoy reads.

    It also holds google.rpc's error details, which no file of ours imports: Envoy prints only types it knows.
    """
    target = out / "descriptor.binpb"
    run(tool("buf"), "build", "--as-file-descriptor-set", "--exclude-source-info", "--output", target)


def generate() -> dict[Path, bytes]:
    """Gives the path, relative to ``generated/``, and the content of each file that belongs there."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        write_stubs(out)
        write_descriptor(out)
        return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def present() -> dict[Path, bytes]:
    """Gives the same for the files that are there now, whatever Python has cached beside them left out."""
    return {
        path.relative_to(GENERATED): path.read_bytes()
        for path in sorted(GENERATED.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(wanted: dict[Path, bytes], found: dict[Path, bytes]) -> list[Path]:
    """Names the files that are missing, changed or stale."""
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def envoy_config() -> str:
    """Gives Envoy's configuration at default settings, which holds the routes of the contract."""
    sys.path[:0] = [str(ROOT), str(GENERATED)]
    from gateway.envoy import EnvoySettings, render  # noqa: PLC0415 - needs the paths

    settings = EnvoySettings()
    with contextlib.chdir(ROOT):  # the settings' paths are relative
        return render(settings)


def main() -> int:
    """Runs the command and gives its exit status."""
    parser = argparse.ArgumentParser(description="Generate the stubs and the descriptor from proto/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of step")
    check = parser.parse_args().check
    wanted = generate()
    changed = differences(wanted, present())
    for path in changed:
        if check:
            print(f"out of step: generated/{path.as_posix()}")
        elif path in wanted:
            (GENERATED / path).parent.mkdir(parents=True, exist_ok=True)
            (GENERATED / path).write_bytes(wanted[path])
        else:
            (GENERATED / path).unlink()
    config = envoy_config()
    stale = ENVOY.read_text(encoding="utf-8") != config
    if stale and check:
        print("out of step: envoy/envoy.yaml")
    elif stale:
        ENVOY.write_text(config, encoding="utf-8")
    if check and (changed or stale):
        print("Run `make generate` and commit the result.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
