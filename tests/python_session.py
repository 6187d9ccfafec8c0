"""What tests/python.test.sh runs in its folder: files of a synthetic patient, a model, and what the
program made of them."""

import json
import threading
import warnings

import numpy as np

import twinseg


def ok(name, truth):
    print(("ok - " if truth else "not ok - ") + name)


def refused(name, pattern, function, *arguments, **settings):
    try:
        function(*arguments, **settings)
    except twinseg.TwinsegError as error:
        ok(f"{name} ({error})", pattern in str(error))
    else:
        ok(name + " was not refused", False)


ok("the version", twinseg.version().count(".") == 2)

# ---- volumes ----
flair, t1ce = twinseg.read("flair.nii.gz"), twinseg.read("t1ce.nii.gz")
ok("shape, spacing and type", (flair.data.shape, flair.spacing, flair.data.dtype)
   == ((24, 20, 18), (1.0, 1.0, 1.0), np.float32))
ok("the affine", flair.affine.tolist()
   == [[-1, 0, 0, 11], [0, -1, 0, 9], [0, 0, 1, -8], [0, 0, 0, 1]])
ok("0 outside the brain", flair.data[0, 0, 0] == 0 and (flair.data != 0).any())
twinseg.write("copy.nii.gz", flair)
back = twinseg.read("copy.nii.gz")
ok("written and read back", (back.data == flair.data).all() and (back.affine == flair.affine).all())
four = np.arange(2 * 3 * 4 * 5, dtype=np.float64).reshape(2, 3, 4, 5)
twinseg.write("four.nii", twinseg.Image(four, np.diag([1, 2, 3, 1])))
back = twinseg.read("four.nii")
ok("four volumes, in numpy's own order", (back.data == four).all() and back.spacing == (1, 2, 3))
back.data[0, 0, 0] = 7
ok("which is the caller's to change", back.data[0, 0, 0].tolist() == [7] * 5)
refused("a file that is not there", "gone.nii", twinseg.read, "gone.nii")
with open("a.nii", "wb") as file:
    file.write(open("four.nii", "rb").read())
for function in (twinseg.read, twinseg.read_labels, twinseg.Model):
    refused("a name with a NUL byte", "NUL", function, "a.nii\0b")
refused("written to a name with a NUL byte", "NUL", twinseg.write, "c.nii\0b", flair)
refused("complex numbers", "complex", twinseg.write, "c.nii", flair.data * 1j)
refused("numbers beyond float32", "the image holds numbers beyond", twinseg.write, "c.nii",
        flair.data.astype(np.float64) * 1e300)
refused("images as labels", "is not a label file", twinseg.read_labels, "flair.nii.gz")

# ---- prediction ----
program, maps = twinseg.read_labels("program.nii.gz"), twinseg.read("maps.nii.gz")
with twinseg.Model("model.safetensors", threads=2) as model:
    ok("the model's modalities", model.modalities == ("t1ce", "flair") and not model.any_subset)
    labels, probabilities = model.predict({"flair": flair, "t1ce": t1ce}, probabilities=True)
    ok("the program's labels", (labels.data == program.data).all() and labels.data.any())
    ok("the program's probabilities", (probabilities.data == maps.data).all())
    ok("the grid is kept", (labels.affine == flair.affine).all())
    c_order = np.ascontiguousarray(flair.data).astype(np.float64)
    again = model.predict({"t1ce": t1ce, "flair": twinseg.Image(c_order, flair.affine)})
    ok("in another order and type, a second time", (again.data == program.data).all())
    flipped = {m: twinseg.Image(i.data[::-1], i.affine @ np.array(
        [[-1, 0, 0, 23], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
        for m, i in (("flair", flair), ("t1ce", t1ce))}
    ok("stored the other way round", (model.predict(flipped).data[::-1] == program.data).all())
    skull = twinseg.Image(flair.data + 50, flair.affine)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict({"flair": skull, "t1ce": t1ce})
    ok("an image with its skull is remarked upon", any("flair" in str(w.message) and "skull" in
                                                       str(w.message) for w in caught))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict({"flair": flair, "t1ce": t1ce})
    ok("and forgotten with the next case", not any("skull" in str(w.message) for w in caught))
    holes = flair.data.copy()
    holes[12, 10, 9] = np.nan
    refused("NaN", "'flair' holds 1 NaN", model.predict,
            {"flair": twinseg.Image(holes, flair.affine), "t1ce": t1ce})
    huge = flair.data.astype(np.float64)
    huge[12, 10, 9] = 1e300
    refused("1e300 is not called NaN", "flair holds numbers beyond", model.predict,
            {"flair": twinseg.Image(huge, flair.affine), "t1ce": t1ce})
    refused("complex images", "complex", model.predict, {"flair": flair.data * 1j, "t1ce": t1ce})
    refused("zeros", "'flair' is zero everywhere", model.predict,
            {"flair": twinseg.Image(holes * 0 == 1, flair.affine), "t1ce": t1ce})
    refused("a missing modality", "missing: t1ce", model.predict, {"flair": flair})
    refused("an unknown modality", "t2w", model.predict, {"t2w": flair})
    refused("another grid", "differ in grid", model.predict,
            {"flair": flair, "t1ce": twinseg.Image(t1ce.data[1:], t1ce.affine)})
    refused("an affine of zeros", "measure 0 mm along", model.predict,
            {m: twinseg.Image(flair.data, flair.affine * 0) for m in ("flair", "t1ce")})
with twinseg.Model("model.safetensors", labels="brats2021", mirror=True) as model:
    truth = twinseg.read_labels("truth.nii.gz").data
    labels = model.predict({"flair": flair, "t1ce": t1ce}).data
    ok("settings: mirrored, ET as 4", (labels == np.where(truth == 3, 4, truth)).all())
refused("a closed model", "closed", model.predict, {"flair": flair})
refused("a setting of training", "base=8", twinseg.Model, "model.safetensors", base=8)
refused("a setting out of range", "window_step", twinseg.Model, "model.safetensors", window_step=7)
refused("no model", "flair.nii.gz", twinseg.Model, "flair.nii.gz")

# ---- threads: two models at once ----
results = {}


def predict(name):
    with twinseg.Model("model.safetensors", threads=1) as own:
        results[name] = own.predict({"flair": flair, "t1ce": t1ce}).data


workers = [threading.Thread(target=predict, args=(name,)) for name in "ab"]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
ok("two threads, a model each", all((results[name] == program.data).all() for name in "ab"))

# ---- threads: one model, 4 threads, one of which gives a bad case and one whose model warns ----
shared = twinseg.Model("model.safetensors", threads=2)
outcomes = {i: [] for i in range(4)}


def share(number):
    for _ in range(6):
        with_holes = {"flair": twinseg.Image(holes, flair.affine), "t1ce": t1ce}
        try:
            got = shared.predict(with_holes if number == 0 else {"flair": flair, "t1ce": t1ce})
            outcomes[number].append((got.data == program.data).all())
        except twinseg.TwinsegError as error:
            outcomes[number].append("'flair' holds 1 NaN" in str(error))
            outcomes[number].append(number == 0)


workers = [threading.Thread(target=share, args=(i,)) for i in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
ok("four threads share a model", all(all(v) and len(v) >= 6 for v in outcomes.values()))
late = threading.Thread(target=share, args=(1,))
late.start()
shared.close()
late.join()
refused("a model that was closed beside another thread", "closed", shared.predict,
        {"flair": flair, "t1ce": t1ce})

# ---- scores ----
truth = twinseg.read_labels("truth.nii.gz")
for convention in ("lesion", "legacy"):
    with open(convention + ".json") as file:
        wanted = json.load(file)["truth"]
    ok("the program's scores: " + convention,
       twinseg.evaluate(program, truth, convention=convention) == wanted)
bare = twinseg.evaluate(program.data.astype(float), np.ascontiguousarray(truth.data))
ok("of bare arrays", bare == twinseg.evaluate(program, truth))
far = twinseg.evaluate(program, truth, spacing=(2, 2, 2))
ok("distances follow the spacing", abs(far["WT"]["hd95"] - 2 * bare["WT"]["hd95"]) < 1e-9)
other = np.where(truth.data == 3, 4, truth.data)
ok("labels of 2021", twinseg.evaluate(program, other, labels=("brats2023", "brats2021"))
   == twinseg.evaluate(program, truth))
try:
    import nibabel
except ImportError:
    print("skip - nibabel's images: there is no nibabel here")
else:
    p, t = nibabel.load("program.nii.gz"), nibabel.load("truth.nii.gz")
    ok("of nibabel's images", twinseg.evaluate(p, t) == twinseg.evaluate(program, truth))
    with twinseg.Model("model.safetensors") as model:
        labels = model.predict({m: nibabel.load(m + ".nii.gz") for m in ("flair", "t1ce")})
    ok("nibabel's images predicted", (labels.data == np.asarray(p.dataobj)).all())
    twinseg.write("ours.nii.gz", labels)
    ours = nibabel.load("ours.nii.gz")
    ok("ours read by nibabel", (np.asarray(ours.dataobj) == labels.data).all()
       and np.allclose(ours.affine, p.affine))
refused("shapes that differ", "differ in shape", twinseg.evaluate, program, truth.data[1:])
refused("labels that are none", "whole numbers", twinseg.evaluate, program, flair)
both = other.copy()
both[0, 0, 0] = 3
refused("3 and 4 at once", "the labels 3 and 4", twinseg.evaluate, program, both)
refused("an unknown convention", "2022", twinseg.evaluate, program, truth, convention="2022")
refused("no spacing", "measure 0 mm", twinseg.evaluate, program, truth, spacing=(0, 0, 0))
