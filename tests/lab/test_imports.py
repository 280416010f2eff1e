# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""lab and benchmarks run without the installed collection, so the modules that they import from it must not import others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab.base import CHECKOUT


@pytest.mark.parametrize("code", ["import lab.__main__", "import benchmarks.__main__, benchmarks.scale"])
def test_programs_start_by_themselves(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
