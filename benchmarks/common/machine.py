"""Facts about the machine that a result was measured on; no names, no paths."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Packages whose versions belong to every result.
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "tensorflow-recommenders")


def machine_facts(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Describes the machine as far as a number depends on it.

    Args:
        packages: distributions whose versions are told; those not installed are left out.

    Returns:
        {"cpu", "cores", "memory_gib", "system", "python", "versions", "load"}: model of the
        processor, cores this process may use, memory, operating system, Python, versions by
        package, and the load averages of the last 1, 5 and 15 minutes at this moment. Neither
        host name nor user nor path.
    """
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in packages if (version := _version(name))},
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def machine_sentence(facts: Mapping[str, Any]) -> str:
    """Returns what a page says of the machine.

    Args:
        facts: of `machine_facts`.
    """
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"Machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, "
        f"{facts['system']}, Python {facts['python']}; {versions}."
    )


def code_fingerprint(*packages: str) -> str:
    """Returns twelve hex digits of the sources of packages, so that rows of two versions show.

    Args:
        packages: folders of this project, such as "idefn_tf".
    """
    digest = hashlib.sha256()
    for package in packages:
        folder = ROOT / package
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
