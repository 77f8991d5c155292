"""The kernels for 64-bit ARM, compiled by a cross compiler and run in an emulator; and the same check for this machine's."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shoal" / "kernels" / "native" / "lowbit"
CHECK = Path(__file__).with_name("paths_alike.cpp")
KINDS = ("", "many_", "trits_", "lookup_")
SHARED = (*(f"{kind}portable.cpp" for kind in KINDS), "crowd.cpp", "trits.cpp", "lookup.cpp")
NONE: tuple[str, ...] = ()
AVX2 = ("-mavx2", "-mfma", "-mf16c")
CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64-static"


def compiled(compiler: str, sources: dict[str, tuple[str, ...]], folder: Path) -> Path:
    """The check with these sources, each with its own flags."""
    objects = []
    for name, flags in {**sources, str(CHECK): NONE}.items():
        made = folder / f"{Path(name).stem}.o"
        command = [
            compiler,
            "-std=c++20",
            "-O2",
            "-ffp-contract=off",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{FOLDER}",
            *flags,
            "-c",
        ]
        subprocess.run([*command, str(FOLDER / name), "-o", str(made)], check=True)
        objects.append(str(made))
    subprocess.run([compiler, "-static", *objects, "-o", str(folder / "check")], check=True)
    return folder / "check"


@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"no {CROSS} here")
def test_the_kernels_for_arm_agree_with_the_portable_ones(tmp_path: Path) -> None:
    check = compiled(CROSS, dict.fromkeys((*SHARED, *(f"{kind}neon.cpp" for kind in KINDS)), NONE), tmp_path)
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"compiled; no {EMULATOR} here to run it")
    done = subprocess.run([EMULATOR, str(check)], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "322 agreed\n"), done.stdout + done.stderr


@pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("g++") is None, reason="for x86-64 with a compiler"
)
def test_the_kernels_for_avx2_agree_with_the_portable_ones(tmp_path: Path) -> None:
    own = dict.fromkeys((f"{kind}avx2.cpp" for kind in KINDS), AVX2)
    check = compiled("g++", dict.fromkeys(SHARED, NONE) | own, tmp_path)
    done = subprocess.run([str(check)], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "322 agreed\n"), done.stdout + done.stderr
