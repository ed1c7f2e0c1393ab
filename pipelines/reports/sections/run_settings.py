"""Section: the run's settings, and with what it was made."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import idefn_tf
from pipelines.reports.material import Material
from pipelines.reports.page import Section, preformatted, table

_PACKAGES = ("tensorflow", "keras", "numpy", "pyarrow")


def section(material: Material) -> Section:
    """The resolved config, fingerprints and versions."""
    found = Section("settings", "Settings and versions")
    run = material.main
    config = run.run.config_path.read_text(encoding="utf-8")
    found.folded("The resolved config", preformatted(config))
    rows = [["folder", str(run.run.root)]]
    rows += [["data fingerprint", str(run.card.get("fingerprint", "-"))[:16]]]
    rows += [["schema", f"{run.schema.name} ({run.schema.hash})"]]
    rows.append(["idefn_tf", idefn_tf.__version__])
    rows += [[name, found_version] for name in _PACKAGES if (found_version := _version(name))]
    rows.append(["Python", platform.python_version()])
    found.table("Made from", ["what", "which"], rows)
    files = [[s["file"], f"{s['sha256'][:16]}..."] for s in run.card.get("sources", [])]
    if files:
        listed = table("Raw files", ["file", "SHA-256"], files)
        found.folded(f"{len(files)} raw files by their checksums", listed)
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
