/*
 * fuzz_config.c: configuration files of any content: no crash, and a value that was taken keeps to
 * the kind and the bounds of its option.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_option options[] = {
    {.name = "data", .kind = CONFIG_TEXT, .fallback = "./data"},
    {.name = "log.partitions", .kind = CONFIG_INT, .fallback = "8", .min = 1, .max = 1024},
    {.name = "log.map_size", .kind = CONFIG_SIZE, .fallback = "1GiB", .min = 1, .max = 1 << 30},
    {.name = "log.retention", .kind = CONFIG_DURATION, .fallback = "1d", .min = 0, .max = 1},
    {.name = "format", .kind = CONFIG_CHOICE, .fallback = "table", .choices = "table json csv"},
    {.name = "strict", .kind = CONFIG_BOOL, .fallback = "false"},
    {.name = "redis.password", .kind = CONFIG_TEXT, .secret = true},
};

enum { COUNT = ARRAY_LEN(options) };

static void check_value(const struct config *config, size_t i)
{
    const struct config_option *option = &options[i];
    int64_t number = config_int(config, i);
    if (option->max && config_source_of(config, i) == CONFIG_FROM_FILE) {
        KOL_ASSERT(number >= option->min && number <= option->max);
    }
    if (option->kind == CONFIG_CHOICE) {
        KOL_ASSERT(number >= 0 && number <= 2);
    }
    if (option->secret && config_text(config, i) && *config_text(config, i)) {
        KOL_ASSERT(strcmp(config_shown(config, i), "********") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_option usable[COUNT];
    memcpy(usable, options, sizeof options);
    usable[3].fallback = NULL; /* its bounds leave no room for a default */
    struct config *config = config_new(usable, COUNT);
    struct kol_error err = {KOL_OK, ""};
    enum kol_status status =
        config_read_text(config, (struct str){(const char *)data, size}, "fuzz.conf", &err);
    KOL_ASSERT(status == KOL_OK || (status == KOL_USAGE && err.message[0]));
    for (size_t i = 0; i < COUNT; i++) {
        check_value(config, i);
    }
    config_free(&config);
    return 0;
}
