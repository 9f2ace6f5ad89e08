/* inputs.c: raw inputs out of a JSON object, by their names; and the model that answers. */
#include "cmd/inputs.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "registry/registry.h"

enum { MODEL_NAME_SHOWN = 48 };

/* In the order of struct trust_inputs. */
static const struct input trust_inputs[TRUST_INPUTS] = {
    {"followers_count", INPUT_COUNT, true, true},
    {"following_count", INPUT_COUNT, true, true},
    {"post_count", INPUT_COUNT, true, true},
    {"favorites_count", INPUT_COUNT, false, true},
    {"account_age_days", INPUT_COUNT, true, true},
    {"bio_length", INPUT_COUNT, false, true},
    {"has_bio", INPUT_FLAG, false, true},
    {"has_url", INPUT_FLAG, false, true},
    {"has_profile_image", INPUT_FLAG, false, true},
    {"verified", INPUT_FLAG, false, true},
    {"default_profile", INPUT_FLAG, false, true},
    {"default_profile_image", INPUT_FLAG, false, true},
};

/* In the order of struct success_inputs. */
static const struct input success_inputs[SUCCESS_INPUTS] = {
    {"video_views", INPUT_COUNT, false, true},
    {"video_likes", INPUT_COUNT, false, true},
    {"video_comments", INPUT_COUNT, false, true},
    {"video_shares", INPUT_COUNT, false, true},
    {"engagement_total", INPUT_COUNT, false, true},
    {"engagement_rate", INPUT_COUNT, false, true},
    {"est_clicks", INPUT_COUNT, false, true},
    {"est_ctr", INPUT_COUNT, false, true},
    {"price", INPUT_COUNT, false, true},
};

/* In the order of struct trending_inputs. */
static const struct input trending_inputs[] = {
    {"velocity", INPUT_COUNT, true, false},
    {"baseline", INPUT_COUNT, true, false},
    {"market", INPUT_COUNT, true, false},
    {"momentum", INPUT_NUMBER, true, false},
};

const struct input_table trust_input_table = {"trust", trust_inputs, ARRAY_LEN(trust_inputs)};
const struct input_table success_input_table = {"success", success_inputs,
                                                ARRAY_LEN(success_inputs)};
const struct input_table trending_input_table = {"trending", trending_inputs,
                                                 ARRAY_LEN(trending_inputs)};

/* ---- reading an object ---- */

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "text";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

static enum kol_status read_flag(const struct input *input, const json_t *value, double *out,
                                 struct kol_error *err)
{
    const double number = json_number_value(value);
    if (json_is_boolean(value)) {
        *out = json_is_true(value);
    } else if (json_is_number(value) && (number == 0 || number == 1)) {
        *out = number;
    } else {
        return kol_fail(err, KOL_INVALID, "%s: expected true, false or null, got %s", input->name,
                        type_name(value));
    }
    return KOL_OK;
}

static enum kol_status read_value(const struct input *input, const json_t *value, double *out,
                                  struct kol_error *err)
{
    if (json_is_null(value) && input->nullable) {
        return KOL_OK;
    }
    if (input->kind == INPUT_FLAG) {
        return read_flag(input, value, out, err);
    }
    if (!json_is_number(value)) {
        return kol_fail(err, KOL_INVALID, "%s: expected a number%s, got %s", input->name,
                        input->nullable ? " or null" : "", type_name(value));
    }
    *out = json_number_value(value);
    if (input->kind == INPUT_COUNT && *out < 0) {
        return kol_fail(err, KOL_INVALID, "%s: expected a number that is not below 0, got %.17g",
                        input->name, *out);
    }
    return KOL_OK;
}

static enum kol_status fail_name(const struct input_table *table, const char *name,
                                 struct kol_error *err)
{
    const char *names[INPUTS_MAX + 1] = {"kol_id"};
    for (size_t i = 0; i < table->count; i++) {
        names[i + 1] = table->inputs[i].name;
    }
    const char *nearest = str_nearest(str_of(name), names, table->count + 1);
    return kol_fail(err, KOL_INVALID, "%s asks for no '%.64s'%s%s%s", table->score, name,
                    nearest ? "; did you mean '" : " (`kol help predict` lists what it asks for)",
                    nearest ? nearest : "", nearest ? "'?" : "");
}

static enum kol_status read_id(const json_t *value, struct given_inputs *out, struct kol_error *err)
{
    if (json_is_null(value)) {
        return KOL_OK;
    }
    if (!json_is_string(value)) {
        return kol_fail(err, KOL_INVALID, "kol_id: expected text, got %s", type_name(value));
    }
    if (json_string_length(value) >= sizeof out->kol_id) {
        return kol_fail(err, KOL_INVALID, "kol_id: longer than %d bytes", INPUT_ID_MAX - 1);
    }
    memcpy(out->kol_id, json_string_value(value), json_string_length(value) + 1);
    return KOL_OK;
}

static enum kol_status read_member(const struct input_table *table, const char *name,
                                   const json_t *value, struct given_inputs *out,
                                   struct kol_error *err)
{
    if (strcmp(name, "kol_id") == 0) {
        return read_id(value, out, err);
    }
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(name, table->inputs[i].name) == 0) {
            return read_value(&table->inputs[i], value, &out->values[i], err);
        }
    }
    return fail_name(table, name, err);
}

static enum kol_status check_required(const struct input_table *table, const json_t *object,
                                      struct kol_error *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct input *input = &table->inputs[i];
        if (input->required && !json_object_get(object, input->name)) {
            return kol_fail(err, KOL_INVALID, "%s is missing%s", input->name,
                            input->nullable ? ": give null where it is unknown" : "");
        }
    }
    return KOL_OK;
}

enum kol_status inputs_read(const struct input_table *table, struct str json,
                            struct given_inputs *out, struct kol_error *err)
{
    json_error_t problem;
    enum kol_status status = KOL_OK;
    const char *name;
    json_t *value, *object = json_loadb(json.len ? json.ptr : "", json.len,
                                        JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
    if (!object) {
        return kol_fail(err, KOL_INVALID, "no JSON object: %s", problem.text);
    }
    out->kol_id[0] = '\0';
    for (size_t i = 0; i < INPUTS_MAX; i++) {
        out->values[i] = NAN;
    }
    if (!json_is_object(object)) {
        status = kol_fail(err, KOL_INVALID, "expected a JSON object, got %s", type_name(object));
    }
    json_object_foreach(object, name, value)
    {
        if (status == KOL_OK) {
            status = read_member(table, name, value, out, err);
        }
    }
    if (status == KOL_OK) {
        status = check_required(table, object, err);
    }
    json_decref(object);
    return status;
}

/* ---- the model ---- */

static enum kol_status read_file(enum score_kind kind, const char *path, struct score_model *out,
                                 struct kol_error *err)
{
    const char *slash = strrchr(path, '/');
    enum kol_status status = gbdt_read(path, &out->gbdt, err); /* whose messages name the file */
    if (status != KOL_OK) {
        return status;
    }
    status = score_check_model(kind, out->gbdt, err);
    if (status != KOL_OK) {
        gbdt_free(&out->gbdt);
        return kol_wrap(err, "%s", path);
    }
    snprintf(out->version, sizeof out->version, "file/%.*s", MODEL_NAME_SHOWN,
             slash ? slash + 1 : path);
    return KOL_OK;
}

static enum kol_status read_registry(const struct invocation *call, enum score_kind kind,
                                     struct score_model *out, struct kol_error *err)
{
    char serves[32] = "";
    struct registry *registry;
    enum kol_status status =
        registry_open(&(struct registry_options){.data = call->data}, &registry, err);
    if (status != KOL_OK) {
        return status;
    }
    status = registry_which_serves(registry, kind, serves, err);
    if (status == KOL_OK && kind == SCORE_SUCCESS && !serves[0]) { /* the rule answers */
        *out = (struct score_model){.gbdt = NULL, .version = "none"};
    } else if (status == KOL_OK) {
        status = registry_load(registry, kind, REGISTRY_PRODUCTION, out, err);
    }
    registry_close(&registry);
    return status;
}

enum kol_status inputs_model(const struct invocation *call, enum score_kind kind,
                             struct score_model *out, struct kol_error *err)
{
    const char *path = flag_text(call, "model");
    *out = (struct score_model){0};
    return path ? read_file(kind, path, out, err) : read_registry(call, kind, out, err);
}
