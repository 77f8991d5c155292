"""Whether everything a device needs has a wheel for 64-bit ARM.

    python -m bench.arm_wheels

Resolves the dependencies of the core and of `live` for Linux on aarch64, without installing anything: only wheels
count, so nothing would be compiled on the board. Needs a package index; exits with 1 where a wheel is missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64")
EXTRAS = ("live",)
VERSIONS = ("3.11", "3.13")
MIB = 1 << 20


def needed() -> list[str]:
    """What the project asks for, for its core and the extras of a device."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(each for extra in EXTRAS for each in optional[extra])]


def resolved(requirements: list[str], python: str) -> list[tuple[str, str, str]]:
    """Name, version and wheel of all that would be installed, dependencies of dependencies included."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-cache-dir",
            "--only-binary=:all:", "--target", folder, "--python-version", python, "--implementation", "cp",
            "--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none", *platforms,
            "--report", str(report), *requirements,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"Python {python}: {done.stderr.strip()}")
        found = json.loads(report.read_text())["install"]
    return sorted(
        (each["metadata"]["name"], each["metadata"]["version"], each["download_info"]["url"].rpartition("/")[2])
        for each in found
    )


def main() -> None:
    """Print a table for each version of Python."""
    requirements = needed()
    for python in VERSIONS:
        rows = resolved(requirements, python)
        print(f"Python {python} on aarch64: {len(rows)} packages, all as wheels")
        for name, version, wheel in rows:
            kind = "any machine" if wheel.endswith("-any.whl") else wheel.rpartition("-")[2].removesuffix(".whl")
            print(f"  {name:<22}{version:<14}{kind}")


if __name__ == "__main__":
    main()
