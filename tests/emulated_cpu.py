"""Runs tests on a CPU that this machine does not have: Linux in a PC that Bochs emulates. By hand, not in CI:

    python tests/emulated_cpu.py --bochs ../bochs/bochs [--cpu corei7_skylake_x] -- tests/kernels -v

What follows `--` is for pytest, in a guest whose output is printed; the exit status is pytest's. The CPU model
corei7_icelake_u has AVX-512 with VNNI, corei7_skylake_x AVX-512 without; `bochs --help cpu` lists the others.

Bochs executes 10 to 30 million instructions a second: Linux and Python start in one or two minutes of a core, pytest
with onnxruntime in four more, then tests/kernels takes about ten. Of each property --examples examples are tried. The
guest has one CPU and 2 GB of memory. Its clock counts instructions: what waits for a second waits for 200 million.

Needs apt-get, the package as built for development, and of Debian's packages bochsbios, vgabios, isolinux,
syslinux-common, xorriso, busybox-static and e2fsprogs; downloads Debian's kernel. Bochs has to be version 3, built with
--enable-x86-64 --enable-avx --enable-evex --enable-all-optimizations --with-nogui: in the 2.7 of Debian 12, the sizes
of the AVX-512 state contradict each other, and Linux does without it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = ("numpy", "onnx", "onnxruntime", "ml_dtypes", "protobuf", "flatbuffers", "packaging")
TEST_DISTRIBUTIONS = (
    "pytest",
    "pluggy",
    "iniconfig",
    "pygments",
    "hypothesis",
    "sortedcontainers",
    "typing_extensions",
)
MODULES = ("scsi/scsi_common", "scsi/scsi_mod", "ata/libata", "ata/ata_piix", "scsi/sd_mod")  # in the order of loading
EXIT = "emulated_cpu: exit status"

INITRD_INIT = """#!/bin/busybox sh
alias b=/bin/busybox
b mount -t devtmpfs dev /dev
for module in {modules}; do b insmod /lib/$module; done
until [ -b /dev/sda ]; do b sleep 0.1; done
b mount -t ext4 /dev/sda /root
exec /bin/busybox switch_root /root /init
"""
INIT = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
echo 1 > /proc/sys/vm/overcommit_memory  # tests reserve more memory than they touch
export HOME=/tmp PATH={python}:/bin PYTHONPATH=/package:/site PYTHONUNBUFFERED=1
export NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"  # its exp has an instruction that Bochs lacks
cd /repository
{command}
echo "{exit} $?"; sync; sleep 1; poweroff -f
"""
# Bochs has fast short copies (fsrm) without fast copies (erms), a pair for which Linux' memmove is not made.
BOOT = """default linux
prompt 0
label linux
 kernel vmlinuz
 append initrd=initrd console=ttyS0 loglevel=4 mitigations=off nokaslr no_timer_check lpj=1000000 clearcpuid=fsrm
"""
BOCHSRC = """display_library: nogui
cpu: model={cpu}, count=1, ips=200000000
clock: sync=none
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
pci: enabled=1, chipset=i440fx
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk.img, mode=flat
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=cdrom, path={folder}/boot.iso, status=inserted
com1: enabled=1, mode=file, dev={folder}/serial.txt
log: {folder}/bochs.log
panic: action=fatal
"""
PLUGIN = """from hypothesis import Phase, settings

def pytest_collection_modifyitems(items):
    for item in items:
        own = getattr(getattr(item, "function", None), "_hypothesis_internal_use_settings", None)
        if own is not None and own.max_examples > {examples}:
            phases = [phase for phase in own.phases if phase != Phase.shrink]
            item.function._hypothesis_internal_use_settings = settings(own, max_examples={examples}, phases=phases)
"""


def call(*command: str | Path, folder: Path = ROOT, path: Path | None = None) -> str:
    """What a command printed; run in `folder`, with `path` as PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment).stdout


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def busybox(folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy2("/bin/busybox", folder)
    for applet in ("sh", "mount", "sleep", "sync", "poweroff", "cat", "ls"):
        (folder / applet).symlink_to("busybox")


def copy_python(root: Path) -> Path:
    """This interpreter to its own path in `root`, the distributions to /site; returns the interpreter's path."""
    python, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    (root / python.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
    shutil.copy2(python, root / python.relative_to("/"))
    (root / python.with_name("python").relative_to("/")).symlink_to(python.name)
    left_out = shutil.ignore_patterns("test", "*-packages", "idlelib", "ensurepip", "*tkinter*", "config-*")
    shutil.copytree(library, root / library.relative_to("/"), ignore=left_out, symlinks=True)
    for name in DISTRIBUTIONS + TEST_DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            source, target = Path(str(file.locate())), root / "site" / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    return python


def copy_libraries(root: Path, python: Path) -> None:
    """The shared libraries that the programs and modules in `root` need, from where this machine's loader finds them."""
    needy = [*root.rglob("*.so"), *root.rglob("*.so.*"), root / python.relative_to("/")]
    found = subprocess.run(
        ["ldd", *needy], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    ).stdout
    for name in set(re.findall(r"^\t(?:.* => )?(/\S+) \(0x", found, re.MULTILINE)):
        target = root / Path(name).relative_to("/")
        if not Path(name).is_relative_to(root) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target)
    (root / "etc").mkdir()
    shutil.copy2("/etc/ld.so.conf", root / "etc")
    shutil.copytree("/etc/ld.so.conf.d", root / "etc/ld.so.conf.d")
    call("ldconfig", "-r", root)


def copy_tests(root: Path, build: Path, examples: int, arguments: Sequence[str]) -> None:
    """The package to /package, what git has of the repository to /repository, both with their byte code."""
    package, repository = root / "package", root / "repository"
    shutil.copytree(build, package)
    (package / "fewer_examples.py").write_text(PLUGIN.format(examples=examples))
    for name in call("git", "ls-files").splitlines():
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    call(sys.executable, "-m", "compileall", "-q", package)
    collect = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments]
    call(*collect, folder=repository, path=package)


def make_disk(folder: Path, build: Path, examples: int, arguments: Sequence[str]) -> None:
    root = folder / "disk"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    busybox(root / "bin")
    python = copy_python(root)
    copy_tests(root, build, examples, arguments)
    copy_libraries(root, python)
    pytest = ["python", "-m", "pytest", "-p", "no:cacheprovider", "-p", "fewer_examples", "--color=no", *arguments]
    executable(root / "init", INIT.format(python=python.parent, command=shlex.join(pytest), exit=EXIT))
    call("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", root, folder / "disk.img", "800M")


def make_boot(folder: Path) -> None:
    """An ISO image with Debian's kernel and the modules of the disk."""
    kernel, initrd, iso = folder / "kernel", folder / "initrd", folder / "iso"
    if not kernel.exists():
        (package,) = re.findall(r"Depends: (linux-image-\S+)", call("apt-cache", "depends", "linux-image-cloud-amd64"))
        call("apt-get", "download", package, folder=folder)
        call("dpkg", "-x", next(folder.glob(f"{package}_*.deb")), kernel)
    for path in (initrd, iso):
        shutil.rmtree(path, ignore_errors=True)
    busybox(initrd / "bin")
    for name in ("dev", "root", "lib"):
        (initrd / name).mkdir()
    for module in MODULES:
        (file,) = kernel.glob(f"lib/modules/*/kernel/drivers/{module}.ko")
        shutil.copy2(file, initrd / "lib")
    executable(initrd / "init", INITRD_INIT.format(modules=" ".join(f"{Path(module).name}.ko" for module in MODULES)))
    iso.mkdir()
    names = "".join(f"{path.relative_to(initrd)}\n" for path in sorted(initrd.rglob("*")))
    with (iso / "initrd").open("wb") as archive:
        subprocess.run(
            ["/bin/busybox", "cpio", "-o", "-H", "newc"], input=names.encode(), stdout=archive, cwd=initrd, check=True
        )
    (image,) = kernel.glob("boot/vmlinuz-*")
    shutil.copy2(image, iso / "vmlinuz")
    for loader in ("/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"):
        shutil.copy2(loader, iso)
    (iso / "isolinux.cfg").write_text(BOOT)
    how = ("-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")
    call("xorriso", "-as", "mkisofs", "-quiet", "-o", folder / "boot.iso", *how, iso)


def emulate(folder: Path, bochs: str, cpu: str) -> int:
    """Prints the guest's console until it powers off; returns pytest's exit status, 1 if it did not get that far."""
    (folder / "bochsrc").write_text(BOCHSRC.format(cpu=cpu, folder=folder))
    (folder / "disk.img.lock").unlink(missing_ok=True)
    console = folder / "serial.txt"
    console.write_text("")
    command = [bochs, "-q", "-f", str(folder / "bochsrc")]
    with (folder / "bochs.out").open("w") as log, console.open(errors="replace", newline="") as printed:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while (running := process.poll() is None) | bool(text := printed.read()):
                print(text.replace("\r", ""), end="", flush=True)
                time.sleep(1 if running else 0)
        finally:
            process.kill()
    status = re.search(rf"{EXIT} (\d+)", console.read_text(errors="replace"))
    if status is None:
        print(f"The guest ended without a result; {folder}/bochs.out and bochs.log have the emulator's messages.")
    return int(status[1]) if status else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bochs", default="bochs", help="the emulator's program (default: %(default)s)")
    parser.add_argument("--cpu", default="corei7_icelake_u", help="the CPU model (default: %(default)s)")
    parser.add_argument(
        "--build", type=Path, default=ROOT / "build/dev/python", help="the package (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build/emulated", help="for images, 1.5 GB")
    parser.add_argument("--examples", type=int, default=12, help="of each property (default: %(default)s)")
    parser.add_argument("pytest", nargs="+", help="arguments for pytest, after --")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    make_boot(folder)
    make_disk(folder, options.build.resolve(), options.examples, options.pytest)
    return emulate(folder, options.bochs, options.cpu)


if __name__ == "__main__":
    sys.exit(main())
