/*
 * fuzz_json_value.c: any bytes as JSON, read by base and by jansson: the same verdict, the same
 * values.
 */
#include "../unit/json_like.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t opened = 0;
    for (size_t i = 0; i < size; i++) {
        opened += data[i] == '[' || data[i] == '{';
    }
    if (opened < LIKE_DEPTH) {
        KOL_ASSERT(!json_unlike((struct str){(const char *)data, size}, NULL));
    }
    return 0;
}
