"""Tests of install.py, with a program that only says what it is asked: python3 -m unittest discover tools"""
import contextlib
import io
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import install  # noqa: E402

PROGRAM = """#!/bin/sh
case "$1" in
  man) mkdir -p "$2" && echo page > "$2/cloze.1" ;;
  completions) echo "for $2" ;;
  --version) echo "cloze 9" ;;
esac
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, str(self.folder))
        self.prefix = self.folder / "prefix of mine"
        self.cloze = self.folder / "cloze"
        self.cloze.write_text(PROGRAM)
        self.cloze.chmod(0o755)
        root = self.folder / "checkout"
        for name in (*install.SHIPPED, "models/mine"):
            (root / name).mkdir(parents=True)
            (root / name / "file").write_text(name)
        for patch in (mock.patch.object(install, "ROOT", root),
                      mock.patch.object(install, "torch_folder", lambda cloze: self.torch)):
            patch.start()
            self.addCleanup(patch.stop)
        self.root, self.torch = root, self.folder / "torch"

    def run_main(self, *arguments):
        """Exit status and what was said."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = install.main(["--cloze", str(self.cloze), "--prefix", str(self.prefix), *arguments])
        return code, said.getvalue()

    def installed(self):
        return {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file()}

    def test_all_is_put_where_it_is_looked_for(self):
        code, said = self.run_main()
        self.assertEqual(code, 0, said)
        shipped = {f"share/cloze/{name}/file" for name in install.SHIPPED}
        self.assertEqual(self.installed(), {
            "bin/cloze", "share/man/man1/cloze.1", install.LIST, *install.COMPLETIONS.values(), *shipped})
        self.assertTrue((self.prefix / "bin/cloze").stat().st_mode & 0o100)
        self.assertIn("for zsh", (self.prefix / install.COMPLETIONS["zsh"]).read_text())
        self.assertIn("is not on your PATH", said)
        self.assertIn("cloze 9", said)

    def test_a_libtorch_of_the_checkout_comes_too(self):
        self.torch = self.root / "target" / "lib"
        self.torch.mkdir(parents=True)
        for name in ("libtorch_cpu.so", "libc10.so", "libgomp-1.so.1", "python.txt"):
            (self.torch / name).write_text(name)
        with mock.patch.object(install.sys, "platform", "linux"):
            self.run_main()
        libraries = {name for name in self.installed() if name.startswith("lib/")}
        self.assertEqual(libraries,
                         {f"lib/cloze/{name}" for name in ("libtorch_cpu.so", "libc10.so", "libgomp-1.so.1")})

    def test_what_is_no_more_is_taken_away_by_the_next(self):
        self.run_main()
        (self.root / "templates" / "file").rename(self.root / "templates" / "new")
        self.run_main()
        self.assertIn("share/cloze/templates/new", self.installed())
        self.assertNotIn("share/cloze/templates/file", self.installed())

    def test_removing_leaves_what_others_put_there(self):
        self.run_main()
        for name in ("bin/other", "share/cloze/templates/mine.json"):
            (self.prefix / name).write_text("mine")
        code, said = self.run_main("--remove")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.installed(), {"bin/other", "share/cloze/templates/mine.json"})
        self.assertFalse((self.prefix / "share" / "man").exists())
        code, said = self.run_main("--remove")
        self.assertEqual(code, 1)
        self.assertIn("nothing is installed", said)

    def test_without_a_program_nothing_is_done(self):
        self.cloze.unlink()
        code, said = self.run_main()
        self.assertEqual(code, 1)
        self.assertIn("run make build first", said)
        self.assertFalse(self.prefix.exists())

    def test_a_program_that_fails_is_told(self):
        self.cloze.write_text("#!/bin/sh\necho 'no libtorch' >&2; exit 3\n")
        code, said = self.run_main()
        self.assertEqual(code, 1)
        self.assertIn("no libtorch", said)


if __name__ == "__main__":
    unittest.main()
