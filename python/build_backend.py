"""Builds the wheel of the Python module (PEP 517): libtwinseg compiled by make, twinseg/*.py beside
it, and the metadata. The folder that make builds in is $BUILD, by default build/."""

import base64
import hashlib
import os
import re
import subprocess
import sysconfig
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARY = "libtwinseg.so.0"


def _version():
    with open(os.path.join(ROOT, "include", "twinseg.h")) as header:
        return re.search(r'#define TS_VERSION +"(.*)"', header.read()).group(1)


def _metadata(version):
    return (
        f"Metadata-Version: 2.1\nName: twinseg\nVersion: {version}\n"
        "Summary: Brain tumour segmentation on MRI when not all four modalities were acquired\n"
        "Requires-Python: >=3.8\nRequires-Dist: numpy\n"
    )


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build = os.environ.get("BUILD", "build")
    subprocess.run(["make", "-C", ROOT, f"-j{os.cpu_count() or 1}", f"BUILD={build}",
                    f"{build}/{LIBRARY}"], check=True)
    version = _version()
    # An interpreter's version does not matter, the machine does.
    tag = "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())
    info = f"twinseg-{version}.dist-info"
    module = os.path.join(ROOT, "python", "twinseg")
    files = [(f"twinseg/{name}", os.path.join(module, name))
             for name in sorted(os.listdir(module)) if name.endswith(".py")]
    files += [(f"twinseg/{LIBRARY}", os.path.join(ROOT, build, LIBRARY)),
              (f"{info}/LICENSE", os.path.join(ROOT, "LICENSE"))]
    made = {
        f"{info}/METADATA": _metadata(version),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: twinseg\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    record = []
    name = f"twinseg-{version}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        def add(place, content):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{place},sha256={digest.decode()},{len(content)}")
            wheel.writestr(place, content)

        for place, path in files:
            with open(path, "rb") as file:
                add(place, file.read())
        for place, content in made.items():
            add(place, content.encode())
        wheel.writestr(f"{info}/RECORD", "\n".join(record + [f"{info}/RECORD,,"]) + "\n")
    return name
