"""Tests of libtorch.py, without network: python3 -m unittest discover tools"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import libtorch  # noqa: E402

real_download = libtorch.download
HEADER = "torch/csrc/api/include/torch/version.h"
VERSION = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {}\n#define TORCH_VERSION_PATCH 1\n"
OLD_ABI = b"\x7fELF __cxx11 _ZN3c106detail14torchCheckFailEPKcS2_jRKSs"
NEW_ABI = b"\x7fELF __cxx11 _ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, str(self.folder))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LIBTORCH", "CLOZE_", "TORCH_"))}
        clean["XDG_CACHE_HOME"] = str(self.folder / "cache")
        for patch in (mock.patch.dict(os.environ, clean, clear=True),
                      mock.patch.object(libtorch, "ROOT", self.folder),
                      mock.patch.object(libtorch.importlib.util, "find_spec",  # pip yes, torch no
                                        lambda name: None if name == "torch" else mock.Mock())):
            patch.start()
            self.addCleanup(patch.stop)
        self.config = self.folder / ".cargo" / "config.toml"

    def prefix(self, name="lt", minor=4, c10=OLD_ABI):
        prefix = self.folder / name
        (prefix / "include" / HEADER).parent.mkdir(parents=True)
        (prefix / "include" / HEADER).write_text(VERSION.format(minor))
        (prefix / "lib").mkdir()
        for library in ("torch", "torch_cpu", "c10"):
            (prefix / "lib" / f"lib{library}.so").write_bytes(c10)
        return prefix

    def run_main(self, *arguments, **env):
        """Exit status and what was said."""
        with mock.patch.dict(os.environ, env), contextlib.redirect_stderr(io.StringIO()) as said:
            return libtorch.main(list(arguments)), said.getvalue()


class OwnLibtorch(Case):
    def test_abi_is_read_from_one_function(self):
        for content, abi in ((OLD_ABI, "0"), (NEW_ABI, "1")):
            prefix = self.prefix("lt" + abi, c10=content)
            self.assertEqual(libtorch.cxx11_abi(prefix / "lib"), abi)

    def test_config_is_written_once(self):
        prefix = self.prefix()
        code, said = self.run_main(LIBTORCH=str(prefix))
        self.assertEqual((code, said.count("\n")), (0, 1), said)
        text = self.config.read_text()
        self.assertTrue(text.startswith(libtorch.MARK))
        self.assertIn(f'LIBTORCH = {{ value = "{prefix}", force = true }}', text)
        self.assertIn('LIBTORCH_CXX11_ABI = { value = "0", force = true }', text)
        before = self.config.stat().st_mtime_ns
        self.assertEqual(self.run_main(LIBTORCH=str(prefix)), (0, ""))
        self.assertEqual(self.config.stat().st_mtime_ns, before)

    def test_relative_folder_becomes_absolute(self):
        prefix, here = self.prefix(), os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(str(self.folder))
        self.run_main(LIBTORCH="lt")
        self.assertIn(f'"{prefix}"', self.config.read_text())

    def test_set_abi_is_respected_with_a_warning(self):
        _, said = self.run_main(LIBTORCH=str(self.prefix()), LIBTORCH_CXX11_ABI="1")
        self.assertIn("warning", said)
        self.assertIn('LIBTORCH_CXX11_ABI = { value = "1"', self.config.read_text())

    def test_unusable_ones_are_errors(self):
        good = self.prefix()
        without_shim = self.prefix("noshim")
        (without_shim / "lib" / "libtorch.so").unlink()
        for value, hint in (("/nonexistent", "headers are missing"), ("", "empty"),
                            (str(good / "lib"), f"Did you mean LIBTORCH={good} ?"),
                            (str(self.prefix("new", minor=13)), "version 2.13.1"),
                            (str(without_shim), f"no library torch in {without_shim}")):
            code, said = self.run_main(LIBTORCH=value)
            self.assertEqual(code, 1)
            self.assertIn(hint, said)
        for env in ({"LIBTORCH_LIB": "/x"}, {"LIBTORCH": str(good), "LIBTORCH_USE_PYTORCH": "1"},
                    {"LIBTORCH_USE_PYTORCH": "1"}, {"CLOZE_LIBTORCH": "yes"}):
            self.assertEqual(self.run_main(**env)[0], 1, env)
        self.assertFalse(self.config.exists())

    def test_persons_own_config_is_left_alone(self):
        self.config.parent.mkdir()
        self.config.write_text("[net]\nretry = 3\n")
        prefix = self.prefix()
        code, said = self.run_main(LIBTORCH=str(prefix))
        self.assertEqual((code, self.config.read_text()), (0, "[net]\nretry = 3\n"))
        self.assertIn(f'LIBTORCH = {{ value = "{prefix}"', said)
        self.config.write_text(said[said.index("[env]"):])  # done as told: nothing more to say
        self.assertEqual(self.run_main(LIBTORCH=str(prefix)), (0, ""))

    def test_torch_sys_on_demand(self):
        for env in ({"CLOZE_LIBTORCH": "torch-sys"}, {"TORCH_CUDA_VERSION": "cu121"}):
            code, said = self.run_main(**env)
            self.assertEqual(code, 0)
            self.assertIn("torch-sys", said)
            self.assertNotIn("[env]", self.config.read_text())


@unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
class CachedPrefix(Case):
    def setUp(self):
        super().setUp()
        self.downloads = 0
        for patch in (mock.patch.object(libtorch, "download", self.fake_download),
                      mock.patch.object(libtorch, "SPACE_NEEDED", 0),
                      mock.patch.object(libtorch, "wheel_obstacle", lambda: None)):
            patch.start()
            self.addCleanup(patch.stop)
        self.library = self.folder / "empty.so"
        subprocess.run(["cc", "-shared", "-nostdlib", "-x", "c", os.devnull, "-o", str(self.library)], check=True)
        self.cached = libtorch.cached_prefix()

    def fake_download(self, work):
        self.downloads += 1
        for wheel in libtorch.WHEELS:
            name = wheel.requirement.replace("-", "_").replace("==", "-") + "-py3-none-any.whl"
            with zipfile.ZipFile(str(work / name), "w") as archive:
                for part in wheel.wanted:
                    part = part + HEADER if part.endswith("/") else part
                    archive.writestr(wheel.root + part, self.library.read_bytes())
                archive.writestr(wheel.root + "lib/libtorch_cuda.so", "not wanted")

    def leftovers(self):
        return [p.name for p in self.cached.parent.iterdir() if ".tmp-" in p.name]

    def test_install_and_quiet_second_run(self):
        self.assertEqual(self.run_main()[0], 0)
        self.assertTrue((self.cached / "lib" / "libtorch.so").is_file())
        self.assertFalse((self.cached / "lib" / "libtorch_cuda.so").exists())
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.run_main(), (0, ""))
        self.assertEqual(self.downloads, 1)

    def test_cached_copy_needs_no_pip(self):
        self.run_main()
        with mock.patch.object(libtorch, "wheel_obstacle", lambda: "no pip"):
            self.assertEqual(self.run_main(), (0, ""))
            (self.cached / libtorch.STAMP).unlink()
            self.assertIn("torch-sys finds or downloads at the first cargo build (PyPI's wheels passed over: no pip)",
                          self.run_main()[1])

    def test_damage_is_repaired(self):
        self.run_main()
        library = self.cached / "lib" / "libtorch_cpu.so"
        for number, spoil in enumerate((lambda: library.write_bytes(b"short"), library.unlink,
                                        (self.cached / libtorch.STAMP).unlink,
                                        lambda: (self.cached / libtorch.STAMP).write_text("[1"))):
            spoil()
            self.assertIn("damaged", self.run_main()[1])
            self.assertEqual(self.downloads, 2 + number)
            self.assertIsNone(libtorch.damage(self.cached, full=True))

    def test_same_size_change_is_seen_by_verify_only(self):
        self.run_main()
        library = self.cached / "lib" / "libc10.so"
        library.write_bytes(b"X" * library.stat().st_size)
        self.assertEqual(self.run_main(), (0, ""))
        self.assertIn("has been changed", self.run_main("--verify")[1])
        self.assertIn("as installed", self.run_main("--verify")[1])

    def test_failed_repair_does_not_pass_for_good(self):
        self.run_main()
        library = self.cached / "lib" / "libc10.so"
        library.write_bytes(b"X" * library.stat().st_size)
        with mock.patch.object(libtorch, "download", side_effect=KeyboardInterrupt):
            self.assertEqual(self.run_main("--verify")[0], 130)
        self.assertEqual(self.leftovers(), [])
        self.assertIn("damaged", self.run_main()[1])

    def test_leftovers_of_a_killed_run_go(self):
        left = self.cached.with_name(self.cached.name + ".tmp-old")
        left.mkdir(parents=True)
        (left / "half.whl").write_text("")
        self.run_main()
        self.assertEqual(self.leftovers(), [])

    def test_short_of_disk_space(self):
        with mock.patch.object(libtorch, "SPACE_NEEDED", 10 ** 18):
            code, said = self.run_main()
        self.assertEqual((code, self.downloads), (1, 0))
        self.assertIn("not enough disk space", said)

    def test_requirements_are_pinned(self):
        with mock.patch.object(libtorch.subprocess, "run", return_value=mock.Mock(returncode=1)):
            with self.assertRaises(libtorch.Problem):
                real_download(self.folder)
        lines = (self.folder / "requirements.txt").read_text().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(all("==" in line and len(line.partition("sha256:")[2]) == 64 for line in lines))


class Toml(unittest.TestCase):
    def test_odd_folder_names(self):
        text = libtorch.settings(libtorch.Choice({"LIBTORCH": '/a b/"ü"\\c'}, "why"))
        self.assertEqual(text, "[env]\nLIBTORCH = { value = " + json.dumps('/a b/"ü"\\c', ensure_ascii=False)
                         + ", force = true }\n")


if __name__ == "__main__":
    unittest.main()
