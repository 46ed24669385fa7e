"""Compiles the C code when pip installs the package, or makes a wheel of it."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _compiling() -> ModuleType:
    """Return the module beside this file; the package itself cannot be imported while it is being built."""
    path = Path(__file__).with_name("compiling.py")
    spec = importlib.util.spec_from_file_location("compiling", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CompiledLoops(BuildHookInterface):  # type: ignore[misc]  # of a type that is not looked at
    """Puts the libraries into the wheel, which then is one for this kind of machine and any Python."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files are collected; without a compiler the package is one that uses numpy."""
        if self.target_name != "wheel":
            return
        compiling = _compiling()
        if compiling.compiler() is None:
            self.app.display_warning("no C compiler: runs will use numpy, which is many times slower")
            return
        compiled = compiling.compile_libraries()
        root = Path(self.root)
        build_data["artifacts"] += [f"/{path.relative_to(root).as_posix()}" for path in compiled]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
