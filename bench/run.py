#!/usr/bin/env python3
"""make bench: every command of twinseg-bench beside its peers, in alternating runs, as tables on the
terminal and in docs/benchmarks.md. Needs nothing but Python itself; peers are measured where
`make bench-peers` has installed them.
    python3 bench/run.py [--rounds 3] [--only step,window,...] [--case DIR] [--page FILE]
Tables of other machines, and of sections that --only leaves out, stay on the page as they are."""
import argparse
import gzip
import json
import os
import platform
import re
import statistics
import struct
import subprocess
import sys
import time

BENCH = "build/twinseg-bench"
PYTHON = "build/peers/env/bin/python"
PEERS = "bench/peers/"
FOLDER = "build/bench"
PAGE = "docs/benchmarks.md"
NNUNET = dict(base=32, stages=6, patch=128)
DTYPES = ("fp32", "bf16")
# The same processor without AVX-512: for twinseg, for PyTorch's own loops and for its libraries, and copies of
# the runtimes that have no setting for it (bench/peers/hold.py).
HELD = dict(TWINSEG_TARGET="avx2", ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2",
            MKL_ENABLE_INSTRUCTIONS="AVX2", PYTHONPATH="build/peers/held")
SECTIONS = {}


def section(title, held=False):
    """A section of the page; its function's docstring is printed above the tables. held: also measured
    held to AVX2, where the processor has AVX-512."""
    def add(function):
        SECTIONS[function.__name__] = (title, function, held)
        return function
    return add


def flags(**values):
    return [str(w) for k, v in values.items() for w in ("--" + k, v)]


def ours(command, *paths, **options):
    return [BENCH, command, *map(str, paths), *flags(**options), "--json"]


def peer(script, *words, **options):
    return [PYTHON, PEERS + script, *map(str, words), *flags(**options)]


def run(command, o):
    """The command's line of JSON; None where it fails (a peer that is not installed, say)."""
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", PYTHONWARNINGS="ignore", **(HELD if o.held else {}))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"not measured: {' '.join(command)}: {last}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(what, contestants, o, rounds=None):
    """contestants: (name, command), ours first. Each has its turn in every round. The list of what
    each run measured."""
    measured = []
    for _ in range(min(rounds or o.rounds, o.rounds)):
        for name, command in contestants:
            if command[0] == PYTHON and (o.alone or not os.path.exists(PYTHON)):
                continue
            result = run(command, o)
            if result:
                measured.append(dict(result, what=what, who=result.get("peer") or name))
                print(f"{what:34s} {measured[-1]['who']:26s} {result['median_ms']:10.1f} ms "
                      f"({result['min_ms']:.1f} to {result['max_ms']:.1f}), {result['peak_mb']:.0f} MB", flush=True)
    return measured


def join(measured):
    """One row for each (what, who): medians over runs, extremes, the greatest memory."""
    groups = {}
    for m in measured:
        groups.setdefault((m["what"], m["who"]), []).append(m)
    rows = []
    for (what, who), runs in groups.items():
        all_of = {k: [r[k] for r in runs] for k in runs[0]}
        row = dict(what=what, who=who, ms=statistics.median(all_of["median_ms"]), least=min(all_of["min_ms"]),
                   most=max(all_of["max_ms"]), mb=max(all_of["peak_mb"]))
        if "gflops" in all_of:
            row["gflops"] = statistics.median(all_of["gflops"])
            row["roof"] = statistics.median(all_of["roof_gflops"])
            row["share"] = statistics.median(g / r for g, r in zip(all_of["gflops"], all_of["roof_gflops"]))
        row.update({k: all_of[k][0] for k in ("planned_mb", "windows") if k in all_of})
        rows.append(row)
    return sorted(rows, key=lambda row: [m["what"] for m in measured].index(row["what"]))


# ---- what is measured -------------------------------------------------------------------------


@section("A training step", held=True)
def step(o):
    """Teacher, student, losses and update, on random patches: the network of the name, in PyTorch as its users
    write it (bench/peers/step_torch.py). winograd=on takes Winograd's algorithm in training too; its sums are
    rounded otherwise ([engine](engine.md#winograd))."""
    rows = []
    for base, stages, patch, batch, repeats in ((8, 4, 64, 2, 5), (16, 4, 64, 2, 3), (32, 6, 128, 1, 1)):
        if o.held and base == 32:
            continue
        for dtype in o.dtypes:
            shape = dict(base=base, stages=stages, patch=patch, batch=batch, dtype=dtype, threads=2,
                         repeats=min(repeats, o.repeats or repeats))
            contestants = [("twinseg", ours("step", **shape))]
            if not o.held or dtype == "fp32":
                contestants.append(("PyTorch", peer("step_torch.py", **shape)))
            if dtype == "fp32" and base > 8:
                contestants.append(("twinseg, winograd=on", ours("step", winograd="on", **shape)))
            rows += compare(f"base {base}, {stages} stages, {patch}^3 x {batch}, {dtype}", contestants, o,
                            None if base < 32 else 1)
    return rows


def exported(inputs):
    """The folder of the exported network; made where it is not there."""
    folder = f"build/peers/models/{inputs}-32-6-128"
    if os.path.exists(PYTHON) and not os.path.exists(folder + "/net.xml"):
        subprocess.run(peer("export.py", folder, inputs=inputs, **NNUNET), check=True)
    return folder


@section("One window of nnU-Net size", held=True)
def window(o):
    """128^3 voxels of 2 modalities through the network of base 32 and 6 stages. Prediction in fp32 takes
    Winograd's algorithm, and so can pass the roof."""
    rows, model = [], exported(2)
    for dtype in o.dtypes:
        shape = dict(NNUNET, dtype=dtype, threads=2, repeats=o.repeats or 3)
        contestants = [("twinseg", ours("window", **shape))]
        if not o.held or (dtype == "fp32" and os.path.isdir(HELD["PYTHONPATH"])):
            contestants.append(("OpenVINO", peer("window.py", "openvino", model=model, **shape)))
            if dtype == "fp32":
                contestants.append(("ONNX Runtime", peer("window.py", "onnxruntime", model=model, **shape)))
        if not o.held or dtype == "fp32":
            contestants.append(("PyTorch", peer("window.py", "torch", **shape)))
        rows += compare(dtype, contestants, o)
    return rows


@section("A whole case of nnU-Net size")
def case(o):
    """Four gzipped volumes of 240x240x155 to a label file, by a network of random weights; peers with nibabel
    and scipy around it, and nnU-Net's windows. The case is a phantom (`twinseg phantom build/bench/phantom
    --cases 1`). twinseg skips windows without any voxel of the brain. prediction=whole does not give the same
    labels as windows ([usage](usage.md)). "planned" is the memory that the program announces before it starts."""
    rows, model, out = [], exported(4), FOLDER + "/case.nii.gz"
    for dtype in o.dtypes:
        shape = dict(NNUNET, dtype=dtype, threads=2, repeats=1)
        contestants = [("twinseg", ours("case", o.case, **shape)),
                       ("twinseg, prediction=whole", ours("case", o.case, prediction="whole", **shape)),
                       ("OpenVINO", peer("case.py", "openvino", o.case, out, model=model, **shape)),
                       ("PyTorch", peer("case.py", "torch", o.case, out, **shape))]
        rows += compare(dtype, contestants, o, 2)
    return rows


@section("Reading and preprocessing a case")
def preprocess(o):
    """The same case's files to the network's input. The peer reads its files and normalises its modalities by as
    many threads as twinseg does."""
    rows = []
    for threads in (1, 2):
        rows += compare(f"four volumes, threads {threads}",
                        [("twinseg", ours("preprocess", o.case, threads=threads, repeats=15)),
                         ("nibabel, scipy", peer("preprocess.py", o.case, threads=threads))], o)
    return rows


def moved_truth(path):
    """A prediction for the scores: the truth, two voxels along x and one along y away."""
    with gzip.open(path) as f:
        content = f.read()
    begin = int(struct.unpack("<f", content[108:112])[0])  # vox_offset
    step_bytes = int.from_bytes(content[72:74], "little") // 8
    moved = (2 + int.from_bytes(content[42:44], "little")) * step_bytes
    with gzip.open(FOLDER + "/moved.nii.gz", "wb", 1) as f:
        f.write(content[:begin] + content[begin + moved:] + bytes(moved))
    return FOLDER + "/moved.nii.gz"


@section("Scoring a case")
def score(o):
    """The same case's truth beside a copy moved by two voxels, by each of the conventions of
    [metrics](metrics.md)."""
    truth = next(os.path.join(o.case, n) for n in sorted(os.listdir(o.case)) if n.endswith("seg.nii.gz"))
    files = (moved_truth(truth), truth)
    conventions = dict(legacy=[("legacy rules, scipy", "legacy")],
                       lesion=[("BraTS 2023's rules, scipy", "lesion")],
                       panoptic=[("brats-evaluation", "official")])
    rows = []
    for convention, peers in conventions.items():
        rows += compare(convention,
                        [("twinseg", ours("score", convention, *files, threads=2))] +
                        [(name, peer("score.py", kind, *files)) for name, kind in peers], o)
    return rows


@section("Scaling")
def scaling(o):
    """twinseg's own windows and steps at one and two threads."""
    rows = []
    for dtype in o.dtypes:
        for threads in (1, 2):
            for base, stages, patch in ((8, 4, 64), (16, 4, 64), (32, 4, 64), (32, 6, 96), (32, 6, 128)):
                shape = dict(base=base, stages=stages, patch=patch, dtype=dtype, threads=threads,
                             repeats=o.repeats or 3)
                rows += compare(f"window, base {base}, {patch}^3, {dtype}, threads {threads}",
                                [("twinseg", ours("window", **shape))], o, 1)
            for base, patch in ((8, 32), (8, 64), (8, 96), (16, 64), (32, 64)):
                shape = dict(base=base, stages=4, patch=patch, batch=2, dtype=dtype, threads=threads,
                             repeats=o.repeats or 3)
                rows += compare(f"step, base {base}, {patch}^3, {dtype}, threads {threads}",
                                [("twinseg", ours("step", **shape))], o, 1)
    return rows


@section("Layers", held=True)
def layers(o):
    """Every kind of layer of three networks by itself: percent of the roof, which is measured before each pass,
    for forward, data gradient and weight gradient, in fp32 and in bf16. "all" counts each layer as often as the
    network has it."""
    rows = []
    for base, stages, patch, batch in ((8, 4, 64, 2), (16, 4, 64, 2), (32, 6, 128, 1)):
        networks = {}
        for dtype in o.dtypes:
            shape = dict(base=base, stages=stages, patch=patch, batch=batch, dtype=dtype, threads=2,
                         repeats=o.repeats or 3)
            networks[dtype] = run(ours("kernels", **shape), o)
            if networks[dtype]:
                print(f"base {base}, {patch}^3 x {batch}, {dtype}: all {networks[dtype]['gflops']:.0f} GFLOP/s, "
                      f"{100 * networks[dtype]['share']:.0f} %", flush=True)
        rows.append(dict(network=f"base {base}, {patch}^3 x {batch}", **networks))
    return rows


# ---- the page ----------------------------------------------------------------------------------

HEAD = """# Benchmarks

Made by `make bench` (bench/run.py), all tables of a machine in one run; peers by `make bench-peers`,
each in its newest version.

Each contestant runs in a process of its own with two threads (where a table does not say otherwise)
and `OMP_WAIT_POLICY=passive`, in turn with the others, three times (steps of base 32 once, cases
twice). Times are medians over all runs, with the least and the greatest: the machines are virtual, and
what else their hosts do moves memory-bound figures by some percent. "of ours" is the peer's figure over
twinseg's; above 1 is in our favour. The roof is what the same threads do on registers alone, measured
between the runs. Operations are counted as the mathematics needs them, so that Winograd's algorithm
can pass the roof.

"""


def first_of(path, begin, otherwise):
    with open(path) as f:
        return next((line[len(begin):].strip(" \t:=\"\n") for line in f if line.startswith(begin)), otherwise)


def processor_has(flag):
    with open("/proc/cpuinfo") as f:
        return re.search(rf"\b{flag}\b", f.read()) is not None


def machine():
    """The heading of this machine's tables."""
    model = first_of("/proc/cpuinfo", "model name", platform.machine())
    family = first_of("/proc/cpuinfo", "cpu family", "")
    memory = round(int(first_of("/proc/meminfo", "MemTotal", "0 kB").split()[0]) / 2 ** 20)
    widths = [w for w in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if processor_has(w)]
    return f"{len(os.sched_getaffinity(0))} cores of {model}" + (f", family {family}" if family else "") + \
        f" ({', '.join(widths)}), {memory} GiB"


def versions(measured):
    """Targets, compiler and system, for the line above a table."""
    runs = measured + [m[d] for m in measured for d in DTYPES if m.get(d)]
    targets = sorted({m["target"] for m in runs if "target" in m})
    compiler = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    system = first_of("/etc/os-release", "PRETTY_NAME", "Linux")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../include/twinseg.h")) as f:
        version = re.search(r'TS_VERSION\s+"(.*)"', f.read()).group(1)
    return f"twinseg {version}" + (f", target {' and '.join(targets)}" if targets else "") + \
        f", gcc {compiler}, {system}"


def table(measured):
    if "network" in measured[0]:
        return layer_table(measured)
    rows = join(measured)
    speeds, peers = any("gflops" in r for r in rows), len({r["who"] for r in rows}) > 1
    lines = ["| what | who | median ms | least | most " + ("| of ours | peak MB | of ours " if peers else "| peak MB ") +
             ("| GFLOP/s | roof | of the roof " if speeds else "") + "|"]
    lines.append("|---|---|" + "---:|" * (lines[0].count("|") - 3))
    first = None
    for row in rows:
        first = row if not first or row["what"] != first["what"] else first
        ratio = {k: "" if row is first else f"{row[k] / first[k]:.2f}" for k in ("ms", "mb")}
        more = "".join(f", {k.replace('_mb', '')} {row[k]:.0f}{' MB' if k.endswith('mb') else ''}"
                       for k in ("planned_mb", "windows") if k in row)
        cells = [row["what"], row["who"] + more, f"{row['ms']:.1f}", f"{row['least']:.1f}", f"{row['most']:.1f}"]
        cells += [ratio["ms"], f"{row['mb']:.0f}", ratio["mb"]] if peers else [f"{row['mb']:.0f}"]
        if speeds:
            cells += [f"{row['gflops']:.0f}", f"{row['roof']:.0f}", f"{100 * row['share']:.0f} %"] \
                if "gflops" in row else [""] * 3
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def layer_table(networks):
    """A row for each layer: its shares of the roof by dtype."""
    lines = ["| network | layer | fp32 | bf16 |", "|---|---|---|---|"]
    for n in networks:
        have = [n[d] for d in DTYPES if n.get(d)]
        for i, layer in enumerate(have[0]["layers"] if have else []):
            cells = [", ".join("-" if s is None else f"{100 * s:.0f}" for s in n[d]["layers"][i]["shares"])
                     if n.get(d) else "" for d in DTYPES]
            lines.append(f"| {n['network']} | {layer['layer']} | " + " | ".join(cells) + " |")
        cells = [f"**{100 * n[d]['share']:.0f}** ({n[d]['gflops']:.0f} GFLOP/s)" if n.get(d) else "" for d in DTYPES]
        lines.append(f"| {n['network']} | **all** | " + " | ".join(cells) + " |")
    return lines


def read_page(path):
    """{title: {machine: lines below}} of a page that write_page made."""
    texts = {}
    if not os.path.exists(path):
        return texts
    with open(path) as f:
        for part in re.split(r"^## ", f.read(), flags=re.MULTILINE)[1:]:
            title, _, rest = part.partition("\n")
            texts[title] = {m.partition("\n")[0]: m.partition("\n")[2].strip("\n")
                            for m in re.split(r"^### ", rest, flags=re.MULTILINE)[1:]}
    return texts


def write_page(name, where, measured, o):
    """The page with that section's table of that machine made anew; all others as they are."""
    texts = read_page(o.page)
    texts.setdefault(SECTIONS[name][0], {})[where] = "\n".join(
        [f"{versions(measured)}; `python3 bench/run.py --only {name}`:", "", *table(measured)])
    out = HEAD
    for title, function, _ in SECTIONS.values():
        if title in texts:
            words = re.sub(r"\n\s+", "\n", function.__doc__.strip())
            out += f"## {title}\n\n{words}\n\n" + "".join(f"### {m}\n\n{t}\n\n" for m, t in texts[title].items())
    os.makedirs(os.path.dirname(o.page) or ".", exist_ok=True)
    with open(o.page + ".part", "w") as f:
        f.write(out.rstrip("\n") + "\n")
    os.rename(o.page + ".part", o.page)


def phantom_case():
    """A phantom on BraTS's grid, for machines that hold no patient's data."""
    folder = FOLDER + "/phantom"
    if not os.path.isdir(folder):
        subprocess.run(["build/twinseg", "phantom", folder, "--cases", "1"], check=True)
    return os.path.join(folder, sorted(n for n in os.listdir(folder) if os.path.isdir(os.path.join(folder, n)))[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3, help="of all contestants in turn; at most")
    p.add_argument("--repeats", type=int, help="of a window, step or layer in a run (default: each section's own)")
    p.add_argument("--alone", action="store_true", help="without peers")
    p.add_argument("--dtype", choices=DTYPES, help="of these alone")
    p.add_argument("--only", default=",".join(SECTIONS), help="sections, joined by ','")
    p.add_argument("--case", help="a case's folder with its truth (default: a phantom)")
    p.add_argument("--page", default=PAGE, help="the page to write (default: %(default)s)")
    o = p.parse_args()
    unknown = [name for name in o.only.split(",") if name not in SECTIONS]
    if unknown:
        sys.exit(f"bench/run.py: no section '{unknown[0]}': {', '.join(SECTIONS)}")
    os.makedirs(FOLDER, exist_ok=True)
    o.case = o.case or phantom_case()
    o.dtypes = [o.dtype] if o.dtype else DTYPES
    for name in o.only.split(","):
        title, function, held = SECTIONS[name]
        for o.held in [False, True] if held and processor_has("avx512f") else [False]:
            where = machine() + (", held to AVX2" if o.held else "")
            print(f"---- {title}, {where}", flush=True)
            start = time.time()
            measured = function(o)
            if measured:
                write_page(name, where, measured, o)
            print(f"     {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
