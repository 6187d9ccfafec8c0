"""Reads seg.dcm back with highdicom: the same voxels as the labels on the reference's grid, in the same place,
referring to the reference's series. Needs highdicom, pydicom and numpy.

    check_dicom_seg.py SEG.dcm SERIES_FOLDER SERIES_NUMBER LABELS.nii.gz
"""
import os
import sys

import highdicom as hd
import numpy as np
import pydicom

from make_dicom import read_nifti

seg_path, folder, number, labels_path = sys.argv[1:]
seg = hd.seg.segread(seg_path)
source = [pydicom.dcmread(os.path.join(folder, f), stop_before_pixels=True) for f in os.listdir(folder)]
source = [d for d in source if d.SeriesNumber == int(number)]
labels, affine = read_nifti(labels_path)

assert {s.SeriesInstanceUID for s in seg.ReferencedSeriesSequence} == {source[0].SeriesInstanceUID}
assert seg.StudyInstanceUID == source[0].StudyInstanceUID and seg.PatientID == source[0].PatientID
assert seg.FrameOfReferenceUID == source[0].FrameOfReferenceUID
codes = {seg.get_segment_description(n).SegmentDescription: seg.get_segment_description(n).segmented_property_type
         for n in seg.segment_numbers}
wanted = {"NCR": "6574001", "ED": "79654002", "ET": "372087000"}
assert all(c.value == wanted[k] and c.scheme_designator == "SCT" for k, c in codes.items()), codes
assert all(seg.get_segment_description(n).algorithm_type.value == "AUTOMATIC" for n in seg.segment_numbers)
uids = {d.SOPInstanceUID for d in source}
used = {i.ReferencedSOPInstanceUID for s in seg.ReferencedSeriesSequence for i in s.ReferencedInstanceSequence}
assert used and used <= uids

# Every voxel of every frame: its place in the world (LPS), looked up in the labels.
to_voxel = np.linalg.inv(np.vstack([np.diag([-1, -1, 1]) @ affine, [0, 0, 0, 1]]))
values = {"NCR": 1, "ED": 2, "ET": 3}
count = {k: 0 for k in values}
shared = seg.SharedFunctionalGroupsSequence[0]
orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
assert np.abs(orientation - np.array(source[0].ImageOrientationPatient, float)).max() < 1e-4, orientation
row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
frames = seg.pixel_array if seg.NumberOfFrames > 1 else seg.pixel_array[None]
for frame, item in zip(frames, seg.PerFrameFunctionalGroupsSequence):
    name = seg.get_segment_description(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber).SegmentDescription
    origin = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
    rows, columns = np.nonzero(frame)
    at = origin + np.outer(columns * column_mm, orientation[:3]) + np.outer(rows * row_mm, orientation[3:])
    voxel = np.c_[at, np.ones(len(at))] @ to_voxel.T[:, :3]
    assert np.abs(voxel - voxel.round()).max(initial=0) < 0.01
    x, y, z = voxel.round().astype(int).T
    assert (labels[z, y, x] == values[name]).all()
    count[name] += len(at)
for name, value in values.items():
    assert count[name] == (labels == value).sum(), (name, count)
assert sum(count.values()) > 0
print("same voxels:", count)
