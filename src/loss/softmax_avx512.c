/* 16 floats a vector. */
#define VL   16
#define NAME softmax_avx512
#if defined(__x86_64__)
#include "loss/softmax_template.h"
#else
#include "loss/softmax.h"
#endif
