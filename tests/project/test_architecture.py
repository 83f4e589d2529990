"""The import arrows of CONTRIBUTING.md, checked from the syntax tree of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"keras_attn": ROOT / "keras_attn", "keras_attn_export": ROOT / "export" / "keras_attn_export"}
LONGEST_FILE = 400
DRAWERS = {"util", "utils", "helper", "helpers", "misc", "common"}

BACKENDS = {"tensorflow", "jax", "jaxlib", "flax", "optax", "torch", "orbax"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}

# Files of keras_attn that may import a backend inside a function: one file per concern.
BACKEND_FILES = {
    "keras_attn.compilation": {"jax", "tensorflow", "torch"},
    "keras_attn.layers.attention.kernel_choice": {"jax"},
    "keras_attn.layers.attention.kernels": {"jax", "torch"},
    "keras_attn.layers.torch_dropout": {"torch"},
    "keras_attn.training.optimization.torch_cross_entropy": {"torch"},
    "keras_attn.sources.tensorflow_sums": {"tensorflow"},
    "keras_attn.planning.compiling": {"jax"},
    "keras_attn.planning.step": {"jax"},
    "keras_attn.training.optimization.accumulation": {"jax", "tensorflow"},
    "keras_attn.training.optimization.gradient_cache": {"jax", "tensorflow"},
    "keras_attn.training.checkpoints": {"orbax"},
    "keras_attn.training.parallelism.devices": {"jax"},
    "keras_attn.training.optimization.rematerialization": {"jax"},
}

# Which parts of keras_attn each part may import; the roof may import all, and nothing imports the roof.
ROOF = {"cli", "commands", "__main__"}
ARROWS = {
    "device": {"device"},
    "layers": {"layers"},
    "models": {"models", "layers", "presets"},
    "pretrained": {"pretrained", "models", "device"},
    "data": {"data", "downloads", "device", "pretrained"},
    "pictures": {"pictures", "device"},
    "errors": set(),
    "lazy_names": set(),
    "presets": set(),
    "registration": set(),
    "child_process": set(),
    "compilation": set(),
    "downloads": set(),
    "bundles": {"bundles", "downloads", "device"},
    "generation": {"compilation", "models", "layers", "device"},
    "encoding": {"compilation", "models", "device"},
    "training": {
        "training",
        "child_process",
        "compilation",
        "encoding",
        "generation",
        "pretrained",
        "models",
        "presets",
        "layers",
        "data",
        "scores",
        "device",
        "pictures",
    },
    "sources": {"sources", "pretrained", "training", "encoding", "models", "data", "device"},
    "loading": {"bundles", "sources", "encoding", "generation", "prediction", "pretrained", "device"},
    "prediction": {"sources", "device"},
    "translation_worker": {"loading", "training", "child_process", "device"},
    "train": {"training", "device"},
    "evaluation": {"evaluation", "loading", "scores", "training", "data", "device"},
    "scores": {"scores", "compilation", "data", "device"},
    "planning": {"planning", "child_process", "training", "models", "presets", "layers", "data"},
}

# Which packages from outside a part may import; the standard library always.
OUTSIDE = {
    "device": {"numpy", "tokenizers"},
    "layers": {"keras", "numpy"},
    "models": {"keras", "numpy"},
    "pretrained": {
        "keras",
        "numpy",
        "ml_dtypes",
        "safetensors",
        "huggingface_hub",
        "keras_hub",
        "tokenizers",
    },
    "pictures": {"numpy", "matplotlib"},
}
OUTSIDE_OF_FILE = {
    "keras_attn.device.runtime.litert": {"ai_edge_litert", "tflite_runtime", "tensorflow", "tensorflow_text"},
    "keras_attn.layers.attention.kernel_choice": {"jax"},
    "keras_attn.layers.attention.kernels": {"jax", "torch"},
    "keras_attn.layers.torch_dropout": {"torch"},
}


def part_of(module: str) -> str:
    """The first name below the package: device of keras_attn.device.search.search."""
    return module.split(".")[1] if "." in module else ""


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name; `lazy` inside a function."""

    name: str
    lazy: bool
    line: int

    @property
    def root(self) -> str:
        return self.name.split(".")[0]


@dataclass(frozen=True)
class Source:
    """One Python file of a package."""

    module: str
    is_package: bool
    text: str

    @property
    def part(self) -> str:
        """The first name below the package, empty for the package itself."""
        return part_of(self.module)

    def imports(self) -> list[Import]:
        return list(self._walk(ast.parse(self.text), lazy=False))

    def _walk(self, node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, lazy, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = self._absolute(child)
                # `from keras_attn import device` imports the module keras_attn.device.
                yield from (Import(f"{base}.{alias.name}", lazy, child.lineno) for alias in child.names)
            elif isinstance(child, ast.Call) and (name := _imported_by_call(child)):
                yield Import(name, lazy, child.lineno)
            if isinstance(child, ast.If) and _is_type_checking(child.test):
                continue
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from self._walk(child, inside)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.module.split(".") if self.is_package else self.module.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])


def _imported_by_call(call: ast.Call) -> str | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return first.value if name in {"import_module", "__import__"} and literal else None


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in ast.unparse(test)


def read_sources() -> list[Source]:
    sources = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            sources.append(Source(module, is_package, path.read_text("utf-8")))
    return sources


# ---- the rules: each yields one line per offence ----


def foreign_imports(source: Source) -> Iterator[str]:
    """Return third-party imports of a part that are not allowed."""
    if not source.module.startswith("keras_attn.") or source.part not in OUTSIDE:
        return
    allowed = OUTSIDE[source.part] | OUTSIDE_OF_FILE.get(source.module, set()) | {"keras_attn"}
    for found in source.imports():
        if found.root not in allowed and found.root not in sys.stdlib_module_names:
            yield f"{source.module}:{found.line} imports {found.name}"


def backend_imports(source: Source) -> Iterator[str]:
    """Backends: never when a module of keras_attn loads; inside functions only in the files listed above."""
    if source.module.split(".")[0] != "keras_attn":
        return
    for found in source.imports():
        if found.root not in BACKENDS:
            continue
        if not found.lazy:
            yield f"{source.module}:{found.line} imports {found.name} when it loads"
        elif found.root not in BACKEND_FILES.get(source.module, set()):
            yield f"{source.module}:{found.line} imports {found.name} but is not listed in BACKEND_FILES"


def wrong_arrows(source: Source) -> Iterator[str]:
    """Imports between the parts that no arrow allows."""
    where, package = source.module, source.module.split(".")[0]
    on_the_roof = package == "keras_attn" and source.part in ROOF
    for found in source.imports():
        inner = part_of(found.name)
        if found.root == "keras_attn" and inner in ROOF and not on_the_roof:
            yield f"{where}:{found.line} imports the command line, {found.name}"
        if package != "keras_attn":
            continue
        if found.root == "keras_attn_export" and not on_the_roof:
            yield f"{where}:{found.line} imports {found.name}; only the command line may"
        if found.root == "keras_attn_export" and not found.lazy:
            yield f"{where}:{found.line} imports {found.name} when it loads"
        allowed = {"errors", "lazy_names"} | ARROWS.get(source.part, ARROWS.keys())
        if found.root == "keras_attn" and inner in ARROWS and inner not in allowed:
            yield f"{where}:{found.line} imports {found.name}"


def unsafe_code(source: Source) -> Iterator[str]:
    """Anything that runs or unpickles data: eval, exec, pickle, allow_pickle=True."""
    for found in source.imports():
        if found.root in UNSAFE:
            yield f"{source.module}:{found.line} imports {found.name}"
    for node in ast.walk(ast.parse(source.text)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
            yield f"{source.module}:{node.lineno} calls {node.func.id}"
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                yield f"{source.module}:{node.lineno} allows pickle"


def unknown_part(source: Source) -> Iterator[str]:
    """A part of keras_attn that no arrow speaks of: the table above must grow with the house."""
    if source.module.startswith("keras_attn.") and source.part not in ARROWS.keys() | ROOF:
        yield f"{source.module} belongs to no part in ARROWS"


RULES = [foreign_imports, backend_imports, wrong_arrows, unsafe_code, unknown_part]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_follows_the_rule(rule):
    offences = [offence for source in read_sources() for offence in rule(source)]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [
        (foreign_imports, "keras_attn.device.search.search", "def f():\n    import keras"),
        (foreign_imports, "keras_attn.device.files.bundle", "from ai_edge_litert import interpreter"),
        (foreign_imports, "keras_attn.layers.bahdanau", "import importlib as i\ni.import_module('scipy')"),
        (backend_imports, "keras_attn.training.loop", "try:\n    import jax\nexcept ImportError:\n    pass"),
        (backend_imports, "keras_attn.training.somewhere_else", "def f():\n    from tensorflow import lite"),
        (wrong_arrows, "keras_attn.layers.bahdanau", "from ..models import presets"),
        (wrong_arrows, "keras_attn.layers.bahdanau", "from keras_attn import training"),
        (wrong_arrows, "keras_attn.device.search.search", "from keras_attn.data import corpus"),
        (wrong_arrows, "keras_attn.training.run_folder", "def f():\n    import keras_attn_export"),
        (wrong_arrows, "keras_attn.cli", "from keras_attn_export import export"),
        (wrong_arrows, "keras_attn_export.bundle", "from keras_attn.cli import main"),
        (wrong_arrows, "keras_attn.training.run_folder", "from .. import cli"),
        (unsafe_code, "keras_attn.data.corpus", "import numpy\nnumpy.load('x', allow_pickle=True)"),
        (unsafe_code, "keras_attn_export.bundle", "def f(x):\n    return eval(x)"),
        (unsafe_code, "keras_attn_export.bundle", "from pickle import loads"),
        (unknown_part, "keras_attn.odds.ends", ""),
    ],
)
def test_rule_reports_a_forbidden_import(rule, module, text):
    assert list(rule(Source(module, False, text)))


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [
        (
            foreign_imports,
            "keras_attn.device.runtime.litert",
            "def f():\n    import tflite_runtime.interpreter",
        ),
        (wrong_arrows, "keras_attn.cli", "def f():\n    from keras_attn_export import export"),
        (wrong_arrows, "keras_attn.training.run_folder", "from keras_attn import __version__"),
        (wrong_arrows, "keras_attn_export.pipeline", "from keras_attn.device.proof import verify"),
        (unsafe_code, "keras_attn.data.corpus", "import numpy\nnumpy.load('x', allow_pickle=False)"),
    ],
)
def test_rule_accepts_an_allowed_import(rule, module, text):
    assert not list(rule(Source(module, False, text)))


def test_files_stay_short_and_are_named_by_subject():
    offences = []
    for folder in [*PACKAGES.values(), *(ROOT / name for name in ("tests", "demos", "benchmarks", "tools"))]:
        for path in folder.rglob("*.py"):
            lines = len(path.read_text("utf-8").splitlines())
            name = path.relative_to(ROOT)
            if lines > LONGEST_FILE:
                offences.append(f"{name} has {lines} lines, more than {LONGEST_FILE}")
            if DRAWERS & set(name.with_suffix("").parts):
                offences.append(f"{name} is a drawer: name the subject")
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize("module", ["keras_attn", "keras_attn.device"])
def test_importing_loads_no_framework(module):
    if not any(source.module == module for source in read_sources()):
        pytest.skip(f"{module} does not exist yet")
    heavy = BACKENDS | {"keras", "matplotlib", "rich", "typer", "babel", "sacrebleu"}
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
