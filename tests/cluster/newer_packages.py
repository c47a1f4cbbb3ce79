"""Makes packages of the files of installed ones, with another version, and a repository of them. Runs on a host.

python3 newer_packages.py DIRECTORY +SUFFIX|VERSION NAME...

Whatever the mirrors have, there is a newer version then. The scripts of the maintainers are in it as they are.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

INFO = Path("/var/lib/dpkg/info")
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "conffiles", "triggers", "shlibs", "templates", "config")


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def control(name: str, version: str) -> str:
    """Return the description of the package ``name`` as one of another version."""
    present = output("dpkg-query", "--show", "--showformat=${Version}", name)
    text = output("dpkg-query", "--status", name)
    text = re.sub(r"^(Status|Conffiles):.*\n(?: .*\n)*", "", text, flags=re.MULTILINE)
    wanted = present + version if version.startswith("+") else version
    # Others of the same source may ask for exactly this version.
    return text.replace(f"(= {present})", f"(= {wanted})").replace(f"\nVersion: {present}\n", f"\nVersion: {wanted}\n")


def build(directory: Path, version: str, name: str) -> str:
    """Make one package below ``directory`` and return its entry in the index of the repository."""
    root = directory / "root"
    shutil.rmtree(root, ignore_errors=True)
    described = root / "DEBIAN"
    described.mkdir(parents=True)
    listed = [Path(line) for line in output("dpkg-query", "--listfiles", name).splitlines() if line.startswith("/")]
    # /bin may be a link here and is a directory in the package.
    directories = {parent for path in listed for parent in path.parents}
    for path in listed:
        if path not in directories and (path.is_symlink() or path.is_file()):
            copy = root / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", path, copy], check=True)
    text = control(name, version)
    (described / "control").write_text(text)
    for script in SCRIPTS:
        if (INFO / f"{name}.{script}").exists():
            shutil.copy2(INFO / f"{name}.{script}", described / script)
    # As the changelog would be, this is another file in every version.
    sums = (INFO / f"{name}.md5sums").read_text()
    (described / "md5sums").write_text(f"{sums}{hashlib.md5(text.encode()).hexdigest()}  newer\n")
    package = directory / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", root, package], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    content = package.read_bytes()
    place = f"Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    return text.rstrip() + "\n" + place


def main() -> None:
    """Run the command line."""
    directory, version, *names = sys.argv[1:]
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    (place / "Packages").write_text("\n".join(build(place, version, name) for name in names))


if __name__ == "__main__":
    main()
