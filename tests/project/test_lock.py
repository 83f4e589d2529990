"""The lock files of requirements/ hold what pyproject.toml asks for, whole and by hash."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
# Lock file -> the extras it is for, and the lock file that is installed before it.
LOCKS = {
    "demo": (("export", "jax"), None),
    "test": (("dev",), None),
    "parity": (("parity",), "test"),
    "tpu": (("tpu",), "test"),
    "mediapipe": (("mediapipe",), "test"),
    "docs": (("docs",), "test"),
}
# An environment as continuous integration has it.
SYSTEM = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}


def lines(name):
    """Requirement -> number of hashes, of a lock file's packages."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    found = [line.partition("--hash") for line in text.splitlines()]
    return {Requirement(before.strip()): 1 + after.count("--hash=") for before, _, after in found}


def versions(name):
    """Package -> version that is installed from a lock file on Linux."""
    wanted = [each for each in lines(name) if each.marker is None or each.marker.evaluate(SYSTEM)]
    found = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}
    assert len(found) == len(wanted), "a package is locked twice for one system"
    basis = LOCKS[name][1]
    return found if basis is None else {**versions(basis), **found}


def asked(extra=None):
    """The requirements of the project, or of an extra, those of its own extras resolved."""
    project = PROJECT["project"]
    for text in project["dependencies"] if extra is None else project["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name != project["name"]:
            yield requirement
        for each in requirement.extras if requirement.name == project["name"] else ():
            yield from asked(each)


@pytest.mark.parametrize("name", LOCKS)
def test_requirements_are_locked_at_allowed_versions(name):
    extras, basis = LOCKS[name]
    locked = versions(name)
    requirements = [*asked(), *(each for extra in extras for each in asked(extra))]
    if basis is None:
        requirements += map(Requirement, PROJECT["build-system"]["requires"])
    for requirement in requirements:
        if requirement.name == "torch":  # pinned by its version, see requirements/lock.py
            assert str(requirement.specifier).startswith("==")
            continue
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version} is locked; run make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_each_package_is_pinned_by_hash_and_no_file_names_an_index(name):
    for requirement, hashes in lines(name).items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)) and hashes >= 1, requirement
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    assert set(re.findall(r"--(\w+)", text)) == {"hash"} and "://" not in text and "file:" not in text
    assert re.fullmatch(r"(\S+==[^\\]+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+)+", text)


def test_lock_files_agree():
    locked = {name: versions(name) for name in LOCKS}
    for name in LOCKS:
        same = locked[name].keys() & locked["test"].keys()
        assert {each: locked[name][each] for each in same} == {each: locked["test"][each] for each in same}


@pytest.mark.parametrize("name", LOCKS)
def test_dependencies_of_locked_packages_are_locked(name):
    locked = versions(name)
    left_out = re.compile(r"torch$")  # see requirements/lock.py
    for package in locked:
        try:
            found = distribution(package)
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        if found.version.partition("+")[0] != locked[package]:
            continue
        for text in found.requires or ():
            requirement = Requirement(text)
            marker = requirement.marker or Marker("python_version >= '3'")
            if not marker.evaluate(SYSTEM) or left_out.match(requirement.name):
                continue
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{package} needs {requirement}, which is not locked"
            assert requirement.specifier.contains(version, prereleases=True), f"{package} needs {requirement}"
