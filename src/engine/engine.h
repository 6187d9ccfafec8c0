/* engine: the CPU's layer calls on tensors that it lays out itself. (In the making.) */
#ifndef TWINSEG_ENGINE_H
#define TWINSEG_ENGINE_H

#include "base/base.h"

typedef struct engine engine;

#endif
