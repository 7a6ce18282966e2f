"""Compile the kernel text with NVIDIA's compilers, as pip installs them (scripts/setup ci): compile_cuda.py FOLDER
COMMAND ...

    check VERSION FILE ARCHITECTURE    NVRTC of CUDA 11 or 12 must compile the text without a warning, for compute_80 or
                                       similar; for sm_80 or similar, ptxas makes machine code of it, because only ptxas
                                       checks the assembly
    table FILE ARCHITECTURE...         print registers, spilled bytes and group memory of each kernel
    compare LIMITS TABLE               none of these may be higher in TABLE than in LIMITS

FOLDER has the packages: 11/nvidia/..., 12/nvidia/... The exit status is 3 if the compilers are missing."""
import ctypes
import glob
import os
import re
import subprocess
import sys
import tempfile


def nvrtc_of(folder, version):
    found = sorted(glob.glob(f"{folder}/{version}/nvidia/cuda_nvrtc/lib/libnvrtc.so.{version}*"))
    if not found:
        sys.exit(3)
    return ctypes.CDLL(found[0])


def to_ptx(nvrtc, text, architecture, options):
    """Returns the PTX and the compiler's output; no PTX if it refuses the text."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = [b"--gpu-architecture=" + architecture.encode(), b"--std=c++17", b"--fmad=false", *options]
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels", 0, None, None):
        sys.exit("nvrtcCreateProgram fails")
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))

    def read(get_size, get):
        get_size(program, ctypes.byref(size))
        room = ctypes.create_string_buffer(size.value)
        get(program, room)
        return room.value

    log = read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).decode(errors="replace")
    return None if failed else read(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX), log


def assemble(folder, ptx, architecture, options):
    """Returns the exit status of ptxas and its output."""
    ptxas = f"{folder}/12/nvidia/cuda_nvcc/bin/ptxas"
    if not os.path.exists(ptxas):
        sys.exit(3)
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/text.ptx", "wb") as file:
            file.write(ptx)
        command = [ptxas, "-v", f"-arch={architecture}", *options, "-o", f"{work}/cubin", f"{work}/text.ptx"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def check(folder, version, path, architecture):
    nvrtc = nvrtc_of(folder, version)
    text = open(path, "rb").read()
    quick = [b"--device-debug", b"--diag-suppress=177"] # nothing is optimised; a kernel uses few of the functions
    virtual = architecture.replace("sm_", "compute_")
    ptx, log = to_ptx(nvrtc, text, virtual, quick)
    print(log)
    if ptx is None or "warning" in log:
        sys.exit(1)
    if architecture == virtual:
        return
    failed, log = assemble(folder, ptx, architecture, ["-g"])
    print(log)
    sys.exit(1 if failed or "warning" in log else 0)


USED = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers([^\n]*)", re.DOTALL)


def used(folder, path, architecture):
    """For each kernel: registers of a thread, bytes that it spills, bytes of a group."""
    ptx, log = to_ptx(nvrtc_of(folder, "12"), open(path, "rb").read(), f"compute_{architecture}", [])
    if ptx is None:
        sys.exit(log)
    failed, log = assemble(folder, ptx, f"sm_{architecture}", [])
    if failed:
        sys.exit(log)
    for kernel, stores, loads, registers, rest in USED.findall(log):
        shared = re.search(r"(\d+) bytes smem", rest)
        yield kernel, (int(registers), int(stores) + int(loads), int(shared[1]) if shared else 0)


def table(folder, path, *architectures):
    print("sm", "kernel", "registers", "bytes_spilt", "bytes_of_a_group", sep="\t")
    for architecture in architectures:
        for kernel, numbers in sorted(used(folder, path, architecture)):
            print(architecture, kernel, *numbers, sep="\t")


def read_table(path):
    rows = [line.split() for line in open(path)][1:]
    return {(sm, kernel): [int(number) for number in numbers] for sm, kernel, *numbers in rows}


def compare(folder, limits_path, path):
    limits, wrong = read_table(limits_path), False
    for (architecture, kernel), numbers in read_table(path).items():
        limit = limits.get((architecture, kernel), [-1] * 3)
        for what, number, most in zip(("registers", "bytes spilt", "bytes of a group"), numbers, limit):
            if number > most:
                print(f"sm_{architecture}, {kernel}: {number} {what}, more than {most}")
                wrong = True
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    folder, command, *arguments = sys.argv[1:]
    {"check": check, "table": table, "compare": compare}[command](folder, *arguments)
