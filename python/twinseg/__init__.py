"""Brain tumour segmentation on MRI when not all four modalities were acquired.

    import twinseg
    model = twinseg.Model("run/model.safetensors", threads=4)
    flair, t1ce = twinseg.read("flair.nii.gz"), twinseg.read("t1ce.nii.gz")
    labels = model.predict({"flair": flair, "t1ce": t1ce})
    twinseg.write("seg.nii.gz", labels)
    truth = twinseg.read_labels("truth.nii.gz")
    print(twinseg.evaluate(labels, truth)["WT"]["dice"])

Arrays are numpy's, indexed [x, y, z] as nibabel's are; nibabel's (dataobj and affine) may be given
instead of files. Research use only: not a medical device.

Over ctypes: twinseg.h is the reference for what the functions do.
"""

import ctypes
import os
import threading
import warnings

import numpy

__all__ = ["Image", "Model", "TwinsegError", "evaluate", "read", "read_labels", "version", "write"]

MODALITIES = ("t1", "t1ce", "t2", "flair")
REGIONS = ("WT", "TC", "ET")
CONVENTIONS = ("legacy", "lesion")
LABELS = ("auto", "brats2021", "brats2023", "brats2024", "msd", "brats-ped")


class TwinsegError(Exception):
    """A sentence that names what was wrong."""


# ---- the library ------------------------------------------------------------------------------


class _Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 1024)]


class _Grid(ctypes.Structure):
    _fields_ = [
        ("shape", ctypes.c_int64 * 3),
        ("spacing_mm", ctypes.c_double * 3),
        ("affine", ctypes.c_double * 16),
    ]


class _Pair(ctypes.Structure):
    _fields_ = [
        ("prediction", ctypes.c_void_p),
        ("truth", ctypes.c_void_p),
        ("prediction_labels", ctypes.c_int),
        ("truth_labels", ctypes.c_int),
        ("shape", ctypes.c_int64 * 3),
        ("spacing_mm", ctypes.c_double * 3),
        ("convention", ctypes.c_int),
        ("threads", ctypes.c_int),
    ]


class _Scores(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_double)
        for name in ("dice", "hd95", "sensitivity", "specificity", "lesion_dice", "lesion_hd95")
    ] + [(name, ctypes.c_int64) for name in ("tp", "fp", "fn")]


def _load():
    """The library beside this file (pip install), or where TWINSEG_LIBRARY says, or the system's."""
    name = "libtwinseg.so.0"
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    named = os.environ.get("TWINSEG_LIBRARY")
    library = ctypes.CDLL(named or (beside if os.path.exists(beside) else name))
    library.ts_version.restype = ctypes.c_char_p
    library.ts_free.argtypes = [ctypes.c_void_p]
    library.ts_model_close.argtypes = [ctypes.c_void_p]
    library.ts_model_modalities.argtypes = [ctypes.c_void_p]
    library.ts_model_modalities.restype = ctypes.c_uint
    library.ts_model_any_subset.argtypes = [ctypes.c_void_p]
    library.ts_model_warnings.argtypes = [ctypes.c_void_p]
    library.ts_model_warnings.restype = ctypes.c_char_p
    return library


_library = _load()


def version():
    """The version of the library, as "MAJOR.MINOR.PATCH"."""
    return _library.ts_version().decode()


def _call(function, *arguments):
    error = _Error()
    if getattr(_library, function)(*arguments, ctypes.byref(error)) != 0:
        raise TwinsegError(error.text.decode(errors="replace"))


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def _path(path):
    """A file's name in bytes; C would end it at a NUL byte, and open another file."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise TwinsegError(f"{encoded!r} is not a file's name: it holds a NUL byte")
    return encoded


# ---- volumes ----------------------------------------------------------------------------------


class Image:
    """A numpy array [x, y, z] (or [x, y, z, volume]), and where it lies: affine (4x4, voxel index
    to mm) and spacing (3 numbers, mm)."""

    def __init__(self, data, affine=None, spacing=None):
        self.data = numpy.asanyarray(data)
        if self.data.dtype.kind == "c":
            raise TwinsegError("an image has real numbers, not complex ones: take their magnitude")
        self.affine = numpy.eye(4) if affine is None else numpy.asarray(affine, dtype=float)
        if self.affine.shape != (4, 4):
            raise TwinsegError("an affine has 4x4 numbers")
        if spacing is None:
            spacing = numpy.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        self.spacing = tuple(float(s) for s in spacing)

    def __repr__(self):
        return f"<twinseg.Image {self.data.shape} {self.data.dtype} of {self.spacing} mm>"


def _image(value):
    """An Image, something of nibabel's, or a bare array of 1 mm voxels."""
    if isinstance(value, Image):
        return value
    if hasattr(value, "dataobj") and hasattr(value, "affine"):
        return Image(numpy.asanyarray(value.dataobj), value.affine, value.header.get_zooms()[:3])
    return Image(value)


def _floats(name, array):
    """As float32, x fastest. NaN and infinities stay; numbers beyond float32 are an error."""
    with numpy.errstate(over="ignore"):
        floats = numpy.asfortranarray(array, dtype=numpy.float32)
    if floats.dtype != array.dtype:
        infinite = numpy.isinf(floats)
        if infinite.any() and numpy.isfinite(array[infinite]).any():
            raise TwinsegError(f"{name} holds numbers beyond the range of float32 (3.4e38)")
    return floats


def _grid(image):
    if image.data.ndim not in (3, 4):
        raise TwinsegError(f"an image has 3 or 4 axes, not {image.data.ndim}")
    grid = _Grid()
    grid.shape[:] = image.data.shape[:3]
    grid.spacing_mm[:] = image.spacing
    grid.affine[:] = image.affine.ravel()
    return grid


def _take(pointer, shape, dtype, grid):
    """A copy of what the library allocated, which is freed."""
    data = numpy.empty(shape, dtype=dtype, order="F")
    ctypes.memmove(data.ctypes.data, pointer, data.nbytes)
    _library.ts_free(pointer)
    affine = numpy.array(grid.affine[:]).reshape(4, 4)
    return Image(data, affine, grid.spacing_mm[:])


def read(path):
    """Reads a NIfTI file: an Image of float32, scaled as its header says."""
    grid, volumes, data = _Grid(), ctypes.c_int64(), ctypes.c_void_p()
    _call("ts_volume_read", _path(path), ctypes.byref(grid), ctypes.byref(volumes),
          ctypes.byref(data))
    shape = tuple(grid.shape) + ((volumes.value,) if volumes.value > 1 else ())
    return _take(data, shape, numpy.float32, grid)


def read_labels(path):
    """Reads a NIfTI file of whole numbers from 0 to 255: an Image of uint8."""
    grid, labels = _Grid(), ctypes.c_void_p()
    _call("ts_labels_read", _path(path), ctypes.byref(grid), ctypes.byref(labels))
    return _take(labels, tuple(grid.shape), numpy.uint8, grid)


def write(path, image):
    """Writes an Image as .nii or .nii.gz: integers and bool as labels, anything else as float32."""
    image = _image(image)
    grid = _grid(image)
    if image.data.dtype.kind in "biu":
        labels = _labels(image.data)
        _call("ts_labels_write", _path(path), ctypes.byref(grid), _pointer(labels))
        return
    data = _floats("the image", image.data)
    volumes = data.shape[3] if data.ndim == 4 else 1
    _call("ts_volume_write", _path(path), ctypes.byref(grid), ctypes.c_int64(volumes),
          _pointer(data))


# ---- scores -----------------------------------------------------------------------------------


def _labels(array):
    """Whole numbers from 0 to 255 as uint8, x fastest; anything else is an error."""
    array = numpy.asanyarray(array)
    if array.ndim != 3:
        raise TwinsegError(f"labels have 3 axes, not {array.ndim}")
    with numpy.errstate(invalid="ignore"):
        labels = numpy.asfortranarray(array.astype(numpy.uint8))
    if not (labels == array).all():
        raise TwinsegError("labels are whole numbers from 0 to 255")
    return labels


def _place(name, names, what):
    if name not in names:
        raise TwinsegError(f"{what} is one of {', '.join(names)}, not '{name}'")
    return names.index(name)


def evaluate(prediction, truth, spacing=None, convention="lesion", labels="auto", threads=0):
    """Scores as the BraTS challenges give them: {"WT": {"dice": ..., "hd95": ...}, "TC", "ET"}.

    spacing: of the voxels in mm; by default that of the prediction (1 mm for bare arrays).
    convention: "lesion" (BraTS 2023) or "legacy" (2017 to 2021). labels: what values mean, in both
    or as a pair of prediction's and truth's.
    """
    prediction, truth = _image(prediction), _image(truth)
    p, t = _labels(prediction.data), _labels(truth.data)
    if p.shape != t.shape:
        raise TwinsegError(f"prediction and truth differ in shape: {p.shape} and {t.shape}")
    maps = (labels, labels) if isinstance(labels, str) else labels
    readings = [_place(m, LABELS, "labels") for m in maps]
    which = _place(convention, CONVENTIONS, "convention")
    if spacing is None:
        spacing = prediction.spacing
    scores = (_Scores * len(REGIONS))()
    pair = _Pair(_pointer(p), _pointer(t), *readings, tuple(p.shape), tuple(spacing), which, int(threads))
    _call("ts_evaluate", ctypes.byref(pair), scores)
    keys = [name for name, _ in _Scores._fields_][: 9 if convention == "lesion" else 4]
    return {r: {k: getattr(s, k) for k in keys} for r, s in zip(REGIONS, scores)}


# ---- prediction -------------------------------------------------------------------------------


class Model:
    """A trained model (a file, a run folder, or several joined by ',' that are averaged).

    Settings are those of `twinseg predict --help`: Model(path, mirror=True, labels="brats2021").
    Threads may share a model: it predicts one case at a time, and close waits for that.
    """

    def __init__(self, path, **settings):
        words = [
            f"{key}={('off', 'on')[value] if isinstance(value, bool) else value}".encode()
            for key, value in settings.items()
        ]
        if any(b"\0" in word for word in words):
            raise TwinsegError("a setting holds a NUL byte")
        self._handle = ctypes.c_void_p()
        self._lock = threading.Lock()  # so that close waits for predict
        _call("ts_model_open", _path(path),
              (ctypes.c_char_p * (len(words) + 1))(*words, None), ctypes.byref(self._handle))
        mask = _library.ts_model_modalities(self._handle)
        self.modalities = tuple(m for i, m in enumerate(MODALITIES) if mask >> i & 1)
        self.any_subset = bool(_library.ts_model_any_subset(self._handle))

    def predict(self, images, probabilities=False):
        """Segments one case: images by modality ({"flair": ..., "t1ce": ...}), all on one grid.

        Returns an Image of labels (uint8), or with probabilities=True that and one of float32
        [x, y, z, 4]: background, NCR, ED, ET. The library's warnings come as Python warnings.
        """
        taken, first = {}, None
        for name, value in images.items():
            place, image = _place(name, MODALITIES, "a modality"), _image(value)
            first = first or image
            if image.data.ndim != 3:
                raise TwinsegError(f"{name} has {image.data.ndim} axes, not 3")
            if image.data.shape != first.data.shape or not numpy.allclose(
                image.affine, first.affine, rtol=0, atol=1e-3
            ):
                raise TwinsegError(f"{name} and {next(iter(images))} differ in grid")
            taken[place] = _floats(name, image.data)
        if not first:
            raise TwinsegError("no image was given")
        shape = first.data.shape
        labels = numpy.empty(shape, dtype=numpy.uint8, order="F")
        maps = numpy.empty(shape + (4,), dtype=numpy.float32, order="F") if probabilities else None
        pointers = (ctypes.c_void_p * len(MODALITIES))(
            *(taken[i].ctypes.data if i in taken else None for i in range(len(MODALITIES)))
        )
        with self._lock:
            if not self._handle:
                raise TwinsegError("the model is closed")
            _call("ts_predict", self._handle, ctypes.byref(_grid(first)), pointers,
                  _pointer(labels), _pointer(maps) if probabilities else None)
            sentences = _library.ts_model_warnings(self._handle).decode().splitlines()
        for sentence in sentences:
            warnings.warn(sentence, stacklevel=2)
        result = Image(labels, first.affine, first.spacing)
        return (result, Image(maps, first.affine, first.spacing)) if probabilities else result

    def close(self):
        """Gives its memory back; the model cannot be used after."""
        if not getattr(self, "_handle", None):
            return
        with self._lock:
            if self._handle:
                _library.ts_model_close(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        self.close()
