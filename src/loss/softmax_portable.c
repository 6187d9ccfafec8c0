/* What every processor of an architecture has. */
#define VL   4
#define NAME softmax_portable
#include "loss/softmax_template.h"
