/* layout (private to dataset/): how the files of a folder become cases.
 *
 * names.c reads file names, cases.c keeps the list of cases, survey.c finds the data set below a
 * folder, folder.c turns BraTS-like trees into cases, raw.c turns imagesTr/labelsTr (MSD, nnU-Net)
 * into cases, description.c reads dataset.json. None calls one that is named after it. */
#ifndef TWINSEG_DATASET_LAYOUT_H
#define TWINSEG_DATASET_LAYOUT_H

#include "dataset/dataset.h"

/* What a file is to its case: a modality (0..3), its truth, or nothing known. */
enum { ROLE_NONE = -1, ROLE_TRUTH = MODALITIES, ROLES };

/* Does the file name end as an image's (.nii, .nii.gz, .hdr; any case)? *stem: its length without
 * that ending. */
bool name_is_image(const char *name, size_t *stem);

/* The role that a stem's last word gives ("..._t1ce", "...-t2f", "..._Segm", "flair"), and the
 * length of the case id before it (0 where the stem is the word alone). */
int name_role(const char *stem, size_t length, size_t *id_length);

/* The modality that a channel's name in a dataset.json means ("T1w", "t1gd", "FLAIR"), else
 * ROLE_NONE. */
int name_modality(const char *name);

/* The challenge year that an id's spelling tells, for messages; NULL where it tells none. */
const char *name_year(const char *id);

/* The reading of a truth that its case's name tells, LABELS_AUTO where it tells none. BraTS 2024
 * numbers visits after treatment from 100 on (BraTS-GLI-00005-100); there, 4 is the resection
 * cavity. */
label_map name_labels(const char *id);

/* Length of the part of an id that names the patient: without the visit of BraTS 2023 and later. */
size_t name_patient(const char *id);

/* The case of BraTS 2020 whose truth carries another name: W39_1998.09.19_Segm.nii is 355's. NULL
 * for every other id. */
const char *name_known_case(const char *id, size_t length);

/* imagesTr, imagesTs, imagesVal: the folders of images of MSD and nnU-Net. */
bool name_is_image_folder(const char *name);

/* Files that no person put there: hidden ones, macOS's "._x" and .DS_Store. */
bool name_is_stray(const char *name);

/* Appends a case and gives its place; NULL with *error filled where memory is out. */
dataset_case *dataset_add(dataset *d, const char *id, ts_error *error);

/* A sentence for dataset.notes. */
ts_status dataset_note(dataset *d, ts_error *error, const char *format, ...) PRINTF_LIKE(3, 4);

/* Where `path` is a folder called like an image (X.nii/) that holds exactly one, the file within,
 * in memory of its own; else NULL. */
char *path_within(const char *path);

/* Fills d->cases from a tree of BraTS-like names, whatever the year, below its folder's root. path is for
 * messages. */
ts_status folder_open(const char *path, label_map labels, dataset *d, ts_error *error);

/* ---- MSD and nnU-Net -------------------------------------------------------------------- */

/* Bytes of a dataset.json: MSD's lists every file, 60 kB; nnU-Net's largest are some MB. */
enum { DESCRIPTION_BYTES_MAX = 64 << 20 };

/* "nnU-Net raw" or "MSD Task01", by the names in a folder of images. */
const char *raw_layout(const char *images);
ts_status raw_open(const char *root, const char *images, label_map labels, dataset *d,
                   ts_error *error);

/* ---- what lies below a folder ------------------------------------------------------------- */

enum { FOLDER_DEPTH = 8 }; /* folders below the one given; BraTS needs 3; ends loops of links */

/* The one data set at or below `path`. *root, *images: where it is MSD's or nnU-Net's, the folder
 * that dataset.json belongs to and the folder of images, in memory of their own; both NULL where it
 * is a BraTS-like tree, or nothing. Several data sets are an error that says what was found
 * where. */
ts_status survey_folder(const char *path, char **root, char **images, ts_error *error);
/* A DICOM file at or below path, in memory of its own, for messages; NULL where there is none. */
char *survey_dicom(const char *path);

#endif
