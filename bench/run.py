#!/usr/bin/env python3
"""make bench: every command of twinseg-bench beside its peers, in alternating runs, as tables on the
terminal and in docs/benchmarks.md. Needs nothing but Python itself; peers are measured where
`make bench-peers` has installed them.
    python3 bench/run.py [--rounds 3] [--only step,window,...] [--case DIR]
What --only leaves out stays on the page as it stands there."""
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

BENCH = "build/twinseg-bench"
PYTHON = "build/peers/env/bin/python"
PEERS = "bench/peers/"
FOLDER = "build/bench"
PAGE = "docs/benchmarks.md"
NOTES = "## Notes\n"
NNUNET = dict(base=32, stages=6, patch=128)
DTYPES = ("fp32", "bf16")
SECTIONS = {}


def section(title):
    def add(function):
        SECTIONS[function.__name__] = (title, function)
        return function
    return add


def flags(**values):
    return [str(w) for k, v in values.items() for w in ("--" + k, v)]


def ours(command, *paths, **options):
    return [BENCH, command, *map(str, paths), *flags(**options), "--json"]


def peer(script, *words, **options):
    return [PYTHON, PEERS + script, *map(str, words), *flags(**options)]


def run(command):
    """The command's line of JSON; None where it fails (a peer that is not installed, say)."""
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", PYTHONWARNINGS="ignore")
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
    for _ in range(rounds or o.rounds):
        for name, command in contestants:
            if command[0] == PYTHON and (not os.path.exists(PYTHON) or o.peers not in name):
                continue
            result = run(command)
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
            row["share"] = statistics.median(g / r for g, r in zip(all_of["gflops"], all_of["roof_gflops"]))
        row.update({k: all_of[k][0] for k in ("planned_mb", "windows") if k in all_of})
        rows.append(row)
    return sorted(rows, key=lambda row: [m["what"] for m in measured].index(row["what"]))


# ---- what is measured -------------------------------------------------------------------------


@section("Kernels: all layers of a network, three passes, of the register roof")
def kernels(o):
    rows = []
    for base, stages, patch, batch in ((8, 4, 64, 2), (16, 4, 64, 2), (32, 6, 128, 1)):
        for dtype in o.dtypes:
            done = subprocess.run([BENCH, "kernels"] + flags(base=base, stages=stages, patch=patch, batch=batch,
                                                             dtype=dtype, threads=2, repeats=3),
                                  capture_output=True, text=True, check=True)
            line = next(x for x in done.stdout.splitlines() if x.startswith("all, "))
            print(f"base {base}, {patch}^3, {dtype}: {line}")
            rows.append(dict(what=f"base {base}, {patch}^3, {dtype}", text=line))
    return rows


@section("A training step: teacher, student, losses, update")
def step(o):
    rows = []
    for base, stages, patch, batch, repeats in ((8, 4, 64, 2, 5), (16, 4, 64, 2, 3), (32, 6, 128, 1, 1)):
        for dtype in o.dtypes:
            shape = dict(base=base, stages=stages, patch=patch, batch=batch, dtype=dtype, threads=2, repeats=repeats)
            contestants = [("twinseg", ours("step", **shape)), ("PyTorch", peer("step_torch.py", **shape))]
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


@section("One window of nnU-Net size (128^3, 2 modalities)")
def window(o):
    rows, model = [], exported(2)
    for dtype in o.dtypes:
        shape = dict(NNUNET, dtype=dtype, threads=2, repeats=o.repeats)
        contestants = [("twinseg", ours("window", **shape)),
                       ("OpenVINO", peer("window.py", "openvino", model=model, **shape))]
        if dtype == "fp32":
            contestants.append(("ONNX Runtime", peer("window.py", "onnxruntime", model=model, **shape)))
        contestants.append(("PyTorch", peer("window.py", "torch", **shape)))
        rows += compare(dtype, contestants, o)
    return rows


@section("A whole case of nnU-Net size: four gzipped volumes to a label file")
def case(o):
    rows, model, out = [], exported(4), FOLDER + "/case.nii.gz"
    for dtype in o.dtypes:
        shape = dict(NNUNET, dtype=dtype, threads=2, repeats=1)
        contestants = [("twinseg", ours("case", o.case, **shape)),
                       ("twinseg, prediction=whole", ours("case", o.case, prediction="whole", **shape)),
                       ("OpenVINO", peer("case.py", "openvino", o.case, out, model=model, **shape)),
                       ("PyTorch", peer("case.py", "torch", o.case, out, **shape))]
        rows += compare(dtype, contestants, o, 1)
    return rows


@section("Reading and preprocessing a case")
def preprocess(o):
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


@section("Scoring a case, by each convention")
def score(o):
    truth = next(os.path.join(o.case, n) for n in sorted(os.listdir(o.case)) if n.endswith("seg.nii.gz"))
    files = (moved_truth(truth), truth)
    conventions = dict(legacy=[("legacy rules, scipy", "legacy")],
                       lesion=[("BraTS 2023's rules, scipy", "lesion")],
                       panoptic=[("brats-evaluation 0.0.10", "official")])
    rows = []
    for convention, peers in conventions.items():
        rows += compare(convention,
                        [("twinseg", ours("score", convention, *files, threads=2))] +
                        [(name, peer("score.py", kind, *files)) for name, kind in peers], o)
    return rows


@section("Scaling: our own window and step")
def scaling(o):
    rows = []
    for dtype in o.dtypes:
        for threads in (1, 2):
            for base, stages, patch in ((8, 4, 64), (16, 4, 64), (32, 4, 64), (32, 6, 96), (32, 6, 128)):
                shape = dict(base=base, stages=stages, patch=patch, dtype=dtype, threads=threads, repeats=o.repeats)
                rows += compare(f"window, base {base}, {patch}^3, {dtype}, threads {threads}",
                                [("twinseg", ours("window", **shape))], o, 1)
            for base, patch in ((8, 32), (8, 64), (8, 96), (16, 64), (32, 64)):
                shape = dict(base=base, stages=4, patch=patch, batch=2, dtype=dtype, threads=threads,
                             repeats=o.repeats)
                rows += compare(f"step, base {base}, {patch}^3, {dtype}, threads {threads}",
                                [("twinseg", ours("step", **shape))], o, 1)
    return rows


# ---- the page ----------------------------------------------------------------------------------

HEAD = """# Benchmarks

Made by `make bench` (bench/run.py); peers by `make bench-peers`. Each contestant runs in a process
of its own, two threads, `OMP_WAIT_POLICY=passive`, in turn with the others; medians over all runs,
and the least and greatest. "of ours": the peer's figure over twinseg's, above 1 is in our favour.
The roof is what the same two threads do on registers alone, measured between the runs; the
operations are those that the mathematics needs, so Winograd's algorithm can pass it.

"""


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    memory = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal"))) >> 20
    system = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
    widths = [w for w in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if w in open("/proc/cpuinfo").read()]
    return f"{os.cpu_count()} cores of {model} ({', '.join(widths)}), {memory + 1} GiB, " + \
        system.get("PRETTY_NAME", "Linux").strip('"')


def table(measured):
    if "text" in measured[0]:
        return ["| network | speed |", "|---|---|"] + [f"| {m['what']} | {m['text']} |" for m in measured]
    lines = ["| what | who | median ms | least | most | median of ours | least of ours | peak MB | of ours "
             "| GFLOP/s | of the roof |", "|---|---|" + "---:|" * 9]
    first = None
    for row in join(measured):
        first = row if not first or row["what"] != first["what"] else first
        ratios = ["", "", ""] if row is first else [f"{row[k] / first[k]:.2f}" for k in ("ms", "least", "mb")]
        speed, share = (f"{row['gflops']:.0f}", f"{100 * row['share']:.0f} %") if "gflops" in row else ("", "")
        more = "".join(f", {k.replace('_mb', '')} {row[k]:.0f}{' MB' if k.endswith('mb') else ''}"
                       for k in ("planned_mb", "windows") if k in row)
        lines.append(f"| {row['what']} | {row['who']}{more} | {row['ms']:.1f} | {row['least']:.1f} | {row['most']:.1f} "
                     f"| {ratios[0]} | {ratios[1]} | {row['mb']:.0f} | {ratios[2]} | {speed} | {share} |")
    return lines


def write_page(name, measured):
    """The page with that section made anew; all others as they stand there."""
    page = open(PAGE).read() if os.path.exists(PAGE) else ""
    before, _, notes = page.partition(NOTES)
    kept = re.split(r"^## (.*)\n", before, flags=re.MULTILINE)[1:]  # title, text, title, text...
    texts = dict(zip(kept[::2], kept[1::2]))
    texts[SECTIONS[name][0]] = "\n".join(["", f"`python3 bench/run.py --only {name}` on", f"{machine()}:", "",
                                          *table(measured), "", ""])
    order = [title for title, _ in SECTIONS.values()]
    titles = sorted(texts, key=lambda title: order.index(title) if title in order else len(order))
    os.makedirs("docs", exist_ok=True)
    with open(PAGE + ".part", "w") as f:
        f.write(HEAD + "".join(f"## {title}\n{texts[title]}" for title in titles) + NOTES + (notes or "\n"))
    os.rename(PAGE + ".part", PAGE)


def phantom_case():
    """A made brain on BraTS's grid, for machines that hold no patient's."""
    folder = FOLDER + "/phantom"
    if not os.path.isdir(folder):
        subprocess.run(["build/twinseg", "phantom", folder, "--cases", "1"], check=True)
    return os.path.join(folder, sorted(n for n in os.listdir(folder) if os.path.isdir(os.path.join(folder, n)))[0])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--add", action="store_true", help="beside what the last runs measured, not instead of it")
    p.add_argument("--repeats", type=int, default=3, help="of a window, or of a step of scaling, in a run")
    p.add_argument("--peers", default="", help="only peers with this in their name")
    p.add_argument("--dtype", choices=DTYPES, help="of these alone")
    p.add_argument("--only", default=",".join(SECTIONS), help="sections, joined by ','")
    p.add_argument("--case", help="a case's folder with its truth (default: a phantom)")
    o = p.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    o.case = o.case or phantom_case()
    o.dtypes = [o.dtype] if o.dtype else DTYPES
    runs = FOLDER + "/results.json"  # of all sections, for --add
    results = json.load(open(runs)) if os.path.exists(runs) else {}
    names = o.only.split(",")
    missing = [name for name in names if o.add and name not in results]
    if missing:
        sys.exit(f"bench/run.py: --add: '{runs}' has no runs of {', '.join(missing)}; measure without --add first")
    for name in names:
        print(f"---- {SECTIONS[name][0]}", flush=True)
        measured = SECTIONS[name][1](o)
        results[name] = results.get(name, []) + measured if o.add else measured
        with open(runs, "w") as f:
            json.dump(results, f, indent=1)
        if results[name]:
            write_page(name, results[name])


if __name__ == "__main__":
    main()
