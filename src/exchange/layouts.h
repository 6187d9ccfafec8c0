/* layouts (private to exchange/): how each layout names its files, channels and labels. */
#ifndef TWINSEG_EXCHANGE_LAYOUTS_H
#define TWINSEG_EXCHANGE_LAYOUTS_H

#include "exchange/exchange.h"

/* Do all cases share one list of channels, described in a dataset.json? */
bool layout_has_description(exchange_layout to);

/* The modalities in the order of the layout's channels. */
const modality *layout_channels(exchange_layout to);

/* The layout's own label values. */
label_map layout_labels(exchange_layout to);

/* Path of a case's image of modality m (MSD: of all), or of its truth, in memory of its own; NULL
 * where memory is out. `use` fixes the numbers of channels. */
char *layout_image_path(exchange_layout to, const char *out, const dataset_case *c,
                        modality_set use, modality m);
char *layout_truth_path(exchange_layout to, const char *out, const dataset_case *c);

/* The folders that the case's files go to, made where they are not there. */
ts_status layout_make_folders(exchange_layout to, const char *out, const dataset_case *c,
                              ts_error *error);

/* OUT/dataset.json. */
ts_status layout_write_description(exchange_layout to, const char *out, const dataset *d,
                                   modality_set use, ts_error *error);

#endif
