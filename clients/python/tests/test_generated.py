"""The generated modules are those that the proto files of the repository give."""

import subprocess
import sys
import unittest
from pathlib import Path

GENERATE = Path(__file__).resolve().parents[1] / "generate.py"


class GeneratedTest(unittest.TestCase):
    def test_the_committed_files_are_what_the_proto_files_give(self) -> None:
        run = subprocess.run([sys.executable, GENERATE, "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
