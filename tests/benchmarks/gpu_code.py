"""What the Triton kernel is compiled to, seen without a GPU: python -m tests.benchmarks.gpu_code [--json]

Triton's own compiler and assembler make the machine code of each variant for Ampere (sm_80) and Hopper (sm_90); the table
shows registers, bytes spilled, instructions, how pixels are loaded, and dot products of 16 by 8 bits. What to look for: nothing
spilled, four-byte pixels loaded as words, and eight dot products for each of a thread's four where they are blended. It says
nothing about time.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)  # before the kernel is imported: it decides what @triton.jit makes

VARIANTS = {
    "RGBX, affine": {},
    "RGBX, affine, fill": {"PADDING": 3},
    "RGBX, projective": {"MODE": 1},
    "RGBX, spline": {"MODE": 2},
    "RGBX, affine, nearest": {"KERNEL": 0},
    "RGBX, affine, bicubic": {"KERNEL": 2},
    "RGBA, projective, averaged": {"MODE": 1, "AVERAGE": True, "ALPHA": True},
    "RGBA, spline, bicubic, averaged": {"MODE": 2, "AVERAGE": True, "ALPHA": True, "KERNEL": 2, "PADDING": 2},
    "RGB, affine": {"C": 3, "PACKED": False},
    "RGB, spline, averaged": {"MODE": 2, "AVERAGE": True, "C": 3, "PACKED": False, "PADDING": 1},
    "grey, affine": {"C": 1, "PACKED": False},
}
ARCHITECTURES = (80, 90)
TABLES = {
    "images": "*i64", "maps": "*fp64", "controls": "*fp32", "weights": "*fp32", "fills": "*fp32", "owners": "*i32",
    "K": "i32", "threshold": "fp32",
}  # fmt: skip


def machine_code(architecture: int, **variant) -> tuple[bytes, str]:
    """The cubin of one variant, and its PTX."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from stn_cli.engines.cuda import STEPS
    from stn_cli.engines.triton_kernel import BLEND_BUILD, BUILD, TILE, warp_kernel

    plain = {"MODE": 0, "KERNEL": 1, "PADDING": 0, "CORNERS": False, "AVERAGE": False, "C": 4, "ALPHA": False}
    chosen = {**plain, "PACKED": True, "PTX": True, "BY": TILE[0], "BX": TILE[1], "STEPS": STEPS, **variant}
    source = ASTSource(
        warp_kernel,
        {**TABLES, **dict.fromkeys(chosen, "constexpr")},
        constexprs=chosen,
        attrs={(i,): [["tt.divisibility", 16]] for i in range(6)},
    )
    blends = chosen["PACKED"] and chosen["KERNEL"] == 1 and not chosen["ALPHA"] and not chosen["AVERAGE"]
    options = BUILD | (BLEND_BUILD if blends else {})
    made = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    return made.asm["cubin"], made.asm["ptx"]


def described(cubin: bytes) -> dict[str, int]:
    """What NVIDIA's disassembler, which comes with Triton, says of it."""
    import triton.backends.nvidia as nvidia

    tools = Path(nvidia.__file__).parent / "bin"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)

        def told(*command: str) -> str:
            done = subprocess.run([str(tools / command[0]), *command[1:], str(file)], capture_output=True, check=True)
            return done.stdout.decode()

        usage, code = told("cuobjdump", "-res-usage"), told("nvdisasm", "-c")
    operations = re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]+)", code, re.MULTILINE)
    numbers = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL|SHARED):(\d+)", usage)}
    return {
        "registers": numbers["REG"],
        "spilled": numbers["STACK"] + numbers["LOCAL"] + sum(op.startswith(("LDL", "STL")) for op in operations),
        "instructions": len(operations),
        "byte loads": sum(op.startswith("LDG.E.U8") for op in operations),
        "word loads": sum(op in ("LDG.E", "LDG.E.CONSTANT") for op in operations),
        "word stores": sum(op == "STG.E" for op in operations),
        "dot products": sum(op.startswith("IDP.2A") and op.endswith("U16.U8") for op in operations),
    }


def rows():
    for name, variant in VARIANTS.items():
        for architecture in ARCHITECTURES:
            yield {"variant": name, "sm": architecture, **described(machine_code(architecture, **variant)[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    if parser.parse_args().json:
        for row in rows():
            print(json.dumps(row), flush=True)
        return
    for number, row in enumerate(rows()):
        if not number:
            print("|", " | ".join(row), "|\n" + "| --- " * len(row) + "|")
        print("|", " | ".join(str(value) for value in row.values()), "|", flush=True)


if __name__ == "__main__":
    main()
