"""Writes a study of made DICOM: the images of a phantom as series of a scanner, with what a study has beside
them. Needs pydicom and numpy.

    make_dicom.py CASE_FOLDER OUT [--patient NAME ID] [--date YYYYMMDD] [--no-agent] [--pre-name NAME] [--post-name NAME] [--few]
"""
import argparse
import gzip
import os
import struct

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, generate_uid

# series: number, description, image, scanning sequence, variant, TE, TR, TI, flip, dimensions, ImageType, agent, time
SERIES = [
    (1, "localizer", "t1", "GR", "SP", 3.7, 8.6, None, 20, "2D", "ORIGINAL\\PRIMARY\\M", "", 100000),
    (2, "t1_mprage_sag_nativ", "t1", ["GR", "IR"], "MP", 2.98, 2300, 900, 9, "3D", "ORIGINAL\\PRIMARY\\M\\NORM", "", 100100),
    (3, "t2_tse_tra_512", "t2", "SE", "SK", 96, 5000, None, 150, "2D", "ORIGINAL\\PRIMARY\\M\\NORM", "", 100500),
    (4, "t2_tirm_tra_dark-fluid", "flair", ["SE", "IR"], "SK", 81, 9000, 2500, 150, "2D", "ORIGINAL\\PRIMARY\\M", "", 101000),
    (5, "ep2d_diff_ADC", "t2", "EP", "SK", 89, 5800, None, 90, "2D", "DERIVED\\PRIMARY\\DIFFUSION\\ADC", "", 101500),
    (6, "SWI_Images", "t2", "GR", "SP", 20, 28, None, 15, "3D", "ORIGINAL\\PRIMARY\\M\\SWI", "", 102000),
    (7, "t1_mprage_sag", "t1ce", ["GR", "IR"], "MP", 2.98, 2300, 900, 9, "3D", "ORIGINAL\\PRIMARY\\M\\NORM", "Gadovist", 103000),
    (8, "t1_mprage_sag_SUB", "t1ce", ["GR", "IR"], "MP", 2.98, 2300, 900, 9, "3D", "DERIVED\\SECONDARY\\SUB", "Gadovist", 103500),
]


def read_nifti(path):
    """Voxels [z][y][x] and affine of a NIfTI-1 file of this program: little-endian, sform."""
    raw = gzip.open(path, "rb").read()
    shape = struct.unpack_from("<8h", raw, 40)[1:4]
    dtype = {2: "<u1", 4: "<i2", 16: "<f4"}[struct.unpack_from("<h", raw, 70)[0]]
    offset = int(struct.unpack_from("<f", raw, 108)[0])
    affine = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
    return np.frombuffer(raw, dtype, int(np.prod(shape)), offset).reshape(shape[::-1]), affine


def write_series(folder, row, voxels, affine, args, uids):
    number, description, _, sequence, variant, te, tr, ti, flip, dims, kind, agent, time = row
    to_lps = np.diag([-1.0, -1.0, 1.0])
    columns, rows, normal = (to_lps @ affine[:, k] for k in (0, 1, 2))
    size = [float(np.linalg.norm(v)) for v in (columns, rows, normal)]
    slices = range(len(voxels)) if number != 1 else [len(voxels) // 2 + k for k in (-1, 0, 1)]
    series = generate_uid()
    for instance, z in enumerate(slices, 1):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if number % 2 else ExplicitVRLittleEndian
        d = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = *args.patient, "19500101", "O"
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = uids["study"], series, uids["frame"]
        d.StudyDate = d.SeriesDate = d.AcquisitionDate = d.ContentDate = args.date
        d.StudyTime, d.SeriesTime, d.AcquisitionTime, d.ContentTime = "100000", str(time), str(time), str(time)
        d.StudyID, d.AccessionNumber, d.ReferringPhysicianName = "1", "", ""
        d.Modality, d.Manufacturer, d.ManufacturerModelName = "MR", "SIEMENS", "Skyra"
        d.SeriesNumber, d.InstanceNumber, d.AcquisitionNumber = number, instance, 1
        d.SeriesDescription = d.ProtocolName = description
        d.ImageType = kind.split("\\")
        d.ScanningSequence, d.SequenceVariant, d.MRAcquisitionType = sequence, variant, dims
        d.EchoTime, d.RepetitionTime, d.FlipAngle, d.MagneticFieldStrength = te, tr, flip, 3
        d.EchoTrainLength, d.ScanOptions, d.BodyPartExamined = 1, "", "HEAD"
        if ti:
            d.InversionTime = ti
        if agent and not args.no_agent:
            d.ContrastBolusAgent = agent
        # a nested reference to a series of another name, which a reader must step over
        other = Dataset()
        other.SeriesInstanceUID = generate_uid()
        d.ReferencedSeriesSequence = [other]
        d.Rows, d.Columns, d.SamplesPerPixel = voxels.shape[1], voxels.shape[2], 1
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PhotometricInterpretation = "MONOCHROME2"
        d.PixelSpacing = [size[1], size[0]]
        d.SliceThickness = d.SpacingBetweenSlices = size[2]
        d.ImageOrientationPatient = [float(f"{v:.8g}") for v in [*(columns / size[0]), *(rows / size[1])]]
        corner = to_lps @ (affine[:, 3] + z * affine[:, 2])
        d.ImagePositionPatient = [float(f"{v:.10g}") for v in corner]
        d.SliceLocation = float(f"{corner @ normal / size[2]:.8g}")
        d.PixelData = np.ascontiguousarray(voxels[z].astype("<i2")).tobytes()
        d.save_as(os.path.join(folder, f"IM{number:02d}{instance:04d}"), enforce_file_format=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("case")
    p.add_argument("out")
    p.add_argument("--patient", nargs=2, default=["SECRETNAME^PERSON", "PID-4711"])
    p.add_argument("--date", default="20240131")
    p.add_argument("--no-agent", action="store_true")
    p.add_argument("--post-name")
    p.add_argument("--pre-name")
    p.add_argument("--few", action="store_true", help="T1 and T1CE alone")
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    name = os.path.basename(args.case)
    uids = {"study": generate_uid(), "frame": generate_uid()}
    for row in SERIES:
        if args.few and row[0] not in (2, 7):
            continue
        if row[0] == 7 and args.post_name:
            row = (7, args.post_name, *row[2:])
        if row[0] == 2 and args.pre_name:
            row = (2, args.pre_name, *row[2:])
        voxels, affine = read_nifti(os.path.join(args.case, f"{name}_{row[2]}.nii.gz"))
        write_series(args.out, row, voxels, affine, args, uids)


if __name__ == "__main__":
    main()
