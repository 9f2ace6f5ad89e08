/* limits.c: the script of a shared bucket, and its answer. */
#include "serve/limits.h"

#include <stdio.h>

#include "base/mem.h"

/*
 * KEYS bucket. ARGV 1 age, 2 spent, 3 floor, 4 most, all in microseconds. Answers what the bucket
 * holds, and 1 where something else was under the key. Sixteen digits are exact in a number of Lua;
 * more, or a time beyond the most, no bucket has. One that is empty needs no key.
 */
static const struct redis_script tell_script = {
    "local t=redis.call('TIME') local now=t[1]*1000000+t[2] local most=now+ARGV[4] "
    "local h,due,bad=redis.pcall('GET',KEYS[1]),0,0 "
    "if type(h)=='string' and #h<17 and string.find(h,'^%d+$') then due=tonumber(h) "
    "elseif h then bad=1 end if due>most then due,bad=0,1 end "
    "due=math.min(math.max(math.max(due,now-ARGV[1])+ARGV[2],now+ARGV[3]),most) "
    "if due>now then redis.call('SET',KEYS[1],string.format('%.0f',due),'PX',"
    "string.format('%.0f',math.ceil((due-now)/1000))) "
    "else due=now if h then redis.call('DEL',KEYS[1]) end end return {due-now,bad}"};

size_t serve_put_spent(struct redis_pipe *pipe, struct str key, const struct serve_spent *spent)
{
    const int64_t numbers[] = {spent->age_us, spent->spent_us, spent->floor_us, spent->most_us};
    char texts[ARRAY_LEN(numbers)][24];
    struct str argv[1 + ARRAY_LEN(numbers)] = {key};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        KOL_ASSERT(numbers[i] >= 0);
        snprintf(texts[i], sizeof texts[i], "%lld", (long long)numbers[i]);
        argv[1 + i] = str_of(texts[i]);
    }
    return redis_add_script(pipe, &tell_script, 1, ARRAY_LEN(argv), argv);
}

enum serve_told serve_take_spent(const struct redis_pipe *pipe, size_t place,
                                 const struct serve_spent *spent, int64_t *held_us, struct str *why)
{
    const struct redis_answer *answer = redis_answer(pipe, place), *items = answer->items;
    *held_us = 0;
    *why = answer->kind == REDIS_ERROR ? answer->text : STR("");
    if (answer->kind != REDIS_LIST || answer->count != 2 || items[0].kind != REDIS_NUMBER ||
        items[1].kind != REDIS_NUMBER || items[0].number < 0 || items[0].number > spent->most_us) {
        *why = why->len ? *why : STR("the answer is not that of the script");
        return SERVE_NOT_TOLD;
    }
    *held_us = items[0].number;
    return items[1].number ? SERVE_TOLD_ANEW : SERVE_TOLD;
}
