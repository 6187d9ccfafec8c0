/* libFuzzer target: the header of a DICOM file from any bytes. */
#include "series/series.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    dicom_header h;
    const bool good = dicom_parse(bytes, count, &h);
    const char *const texts[] = {h.study_uid, h.series_uid,   h.patient_id, h.patient_name,
                                 h.modality,  h.description,  h.image_type, h.study_date,
                                 h.agent,     h.series_number};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (strnlen(texts[i], DICOM_TEXT) == DICOM_TEXT)
            abort();
    if (good && (h.damaged || !h.series_uid[0]))
        abort();
    return 0;
}
