#!/bin/bash
# Labels on an image's own grid, as other programs read them: nibabel's affine and ITK's (SimpleITK).
# Both by pip in an environment of their own; never needed by the program.
. tests/common.sh
where=$("$build/tests/test_back" --make .) || { echo "not ok - make the files"; exit 1; }
cat >overlay.py <<'END_PYTHON'
import sys
import numpy
wanted = numpy.array([float(word) for word in sys.argv[2:5]])
radius = float(sys.argv[5])

def judge(name, affine_image, affine_labels, indices, volume):
    """indices: of the labelled voxels, [n][3]; affines: index to RAS, mm"""
    exact = numpy.array_equal(affine_image, affine_labels)
    middle = (affine_labels @ numpy.append(indices.mean(axis=0), 1))[:3]
    off = numpy.abs(middle - wanted).max()
    share = len(indices) * volume / (4 / 3 * numpy.pi * radius**3)
    print(f"{'ok' if exact else 'not ok'} - {name}: the labels' affine is the image's")
    print(f"{'ok' if off < 0.15 else 'not ok'} - {name}: the ball's middle is off by {off:.3f} mm")
    print(f"{'ok' if abs(share - 1) < 0.02 else 'not ok'} - {name}: its volume is {share:.4f} of its own")

if sys.argv[1] == "nibabel":
    import nibabel
    image, labels = nibabel.load("image.nii.gz"), nibabel.load("native.nii.gz")
    volume = abs(numpy.linalg.det(labels.affine[:3, :3]))
    judge("nibabel", image.affine, labels.affine, numpy.argwhere(labels.get_fdata() > 0), volume)
else:
    import SimpleITK
    def affine(i):  # ITK's world is LPS
        m = numpy.eye(4)
        m[:3, :3] = numpy.array(i.GetDirection()).reshape(3, 3) * numpy.array(i.GetSpacing())
        m[:3, 3] = i.GetOrigin()
        return numpy.diag([-1, -1, 1, 1]) @ m
    image, labels = SimpleITK.ReadImage("image.nii.gz"), SimpleITK.ReadImage("native.nii.gz")
    zyx = numpy.argwhere(SimpleITK.GetArrayFromImage(labels) > 0)
    judge("ITK", affine(image), affine(labels), zyx[:, ::-1], numpy.prod(labels.GetSpacing()))
END_PYTHON
for reader in nibabel SimpleITK; do
    python=
    for candidate in python3 /usr/bin/python3 "$source/build/peers/env/bin/python"; do
        "$candidate" -c "import numpy, $reader" 2>/dev/null && { python=$candidate; break; }
    done
    if [ -z "$python" ]; then
        echo "skip - $reader: not installed (python3 -m venv build/peers/env; build/peers/env/bin/pip install $reader)"
        continue
    fi
    # shellcheck disable=SC2086 # four numbers
    "$python" overlay.py "$reader" $where >words 2>&1 || { echo "not ok - $reader ended early"; failures=1; }
    cat words
    grep -q '^not ok' words && failures=1
done
finish
