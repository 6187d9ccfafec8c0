/* protobuf (private to exchange/): the wire format's three kinds of field that ONNX needs, appended
 * to a text. https://protobuf.dev/programming-guides/encoding */
#ifndef TWINSEG_EXCHANGE_PROTOBUF_H
#define TWINSEG_EXCHANGE_PROTOBUF_H

#include "base/base.h"

#include <string.h>

static inline void put_varint(text *t, uint64_t value)
{
    char bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (char)(value | 0x80);
    bytes[n++] = (char)value;
    text_append_bytes(t, bytes, n);
}

static inline void put_integer(text *t, unsigned field, int64_t value)
{
    put_varint(t, field << 3 | 0);
    put_varint(t, (uint64_t)value);
}

static inline void put_float(text *t, unsigned field, float value)
{
    put_varint(t, field << 3 | 5);
    text_append_bytes(t, (const char *)&value,
                      sizeof value); /* little-endian, as all our targets */
}

static inline void put_bytes(text *t, unsigned field, const void *bytes, size_t count)
{
    put_varint(t, field << 3 | 2);
    put_varint(t, count);
    text_append_bytes(t, bytes, count);
}

static inline void put_string(text *t, unsigned field, const char *s)
{
    put_bytes(t, field, s, strlen(s));
}

/* A message within a message; `inner` is freed. */
static inline void put_message(text *t, unsigned field, text *inner)
{
    put_bytes(t, field, inner->data ? inner->data : "", inner->length);
    t->failed = t->failed || inner->failed;
    text_free(inner);
}

#endif
