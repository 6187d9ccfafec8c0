/* 8 floats a vector. */
#define VL   8
#define NAME softmax_avx2
#if defined(__x86_64__)
#include "loss/softmax_template.h"
#else
#include "loss/softmax.h"
#endif
