/* libFuzzer target: a converted nnU-Net checkpoint: its plans, its data set's description, its
 * weights. What is imported describes a network whose weights are all there. */
#include "exchange/exchange.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    ts_error error = {0};
    model m;
    if (exchange_import_nnunet(memory_file(bytes, count), &m, &error) != TS_OK) {
        if (!error.text[0])
            abort(); /* an error without a sentence */
        return 0;
    }
    volatile float last = m.weights[m.weight_count - 1];
    (void)last;
    model_free(&m);
    return 0;
}
