/*
 * demo_product.c: what KOLs of TikTok sell, by a stated rule with noise.
 *
 * At every observation ln(sold) = 3.5 + appeal + noise of the product, where the appeal is computed
 * from what that very event tells (docs/demo.md has the formula and its coefficients). A model that
 * learns the rule from the events can come as near to it as the noise allows; none of the features
 * of the success score is the rule itself.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "import/demo_parts.h"

#define SECOND_US CLOCK_US_PER_SECOND

static const struct {
    const char *title, *keyword;
    double price; /* thousand VND */
} goods[] = {
#define PRODUCT(title, keyword, price) {title, keyword, price},
#include "import/demo_products.def"
#undef PRODUCT
};

/* Products are numbered behind contents: see demo_digits_id(). */
enum { FIRST_PRODUCT_ITEM = 0x80000 };

static int price_tier(double price)
{
    return (price >= 50000) + (price >= 200000) + (price >= 500000) + (price >= 1000000);
}

/* The rule; see docs/demo.md. `rate` is engagement / views. */
static double appeal(const struct demo_product *product, double rate, double views)
{
    static const double by_tier[] = {0.9, 0.5, 0.0, -0.6, -1.2};
    int tier = price_tier(product->price);
    double rate_part = 1.1 * fmin(fmax(demo_log(fmax(rate, 1e-6) / 0.06), -2), 2);
    double ctr_part = product->ctr > 0 ? 0.8 * demo_log(product->ctr / 0.02) : 0;
    double impulse = product->ctr > 0.03 && tier <= 1 ? 0.7 : 0;
    double reach_part = 0.25 * demo_log(fmax(views, 1) / 20000);
    return rate_part + by_tier[tier] + ctr_part + impulse + reach_part;
}

static void make_product(struct demo_life *life, struct demo_product *product, size_t index)
{
    const struct demo_world *world = life->world;
    const struct demo_kol *kol = &life->kol;
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)kol->number, DEMO_PRODUCT + index);
    uint32_t item = FIRST_PRODUCT_ITEM + (uint32_t)index;
    size_t row = demo_below(&random, ARRAY_LEN(goods));
    product->id = demo_digits_id(&life->arena, world, kol->number, item, "17");
    product->seller_id =
        demo_digits_id(&life->arena, world, kol->number, FIRST_PRODUCT_ITEM - 1, "74");
    product->title = str_of(goods[row].title);
    product->keyword = goods[row].keyword;
    product->url = demo_text(&life->arena, "https://shop.example.com/product/%s", product->id.ptr);
    product->video = (int)demo_below(&random, life->video_count);
    double price = demo_lognormal(&random, goods[row].price, 0.35);
    product->price = fmax(floor(price), 1) * 1000;
    bool estimated = demo_chance(&random, 0.55);
    double ctr = fmin(demo_lognormal(&random, 0.02, 0.6), 0.3);
    product->ctr = estimated ? fmax(floor(ctr * 1e5) / 1e5, 1e-5) : 0;
    product->noise = 0.8 * demo_normal(&random);
    product->total_given = demo_chance(&random, 0.6);
    product->rate_given = demo_chance(&random, 0.4);
    product->sold_as_text = demo_chance(&random, 0.2);
}

static void plan_product(struct demo_life *life, size_t index, struct demo_random *random)
{
    const struct demo_world *world = life->world;
    const struct demo_video *video = &life->videos[life->products[index].video];
    int64_t from = video->posted_us > world->start_us ? video->posted_us : world->start_us;
    uint64_t seconds = (uint64_t)((world->end_us - from) / SECOND_US);
    size_t times = 1 + demo_below(random, 3);
    for (size_t i = 0; i < times; i++) {
        int64_t after = (int64_t)demo_below(random, seconds) * SECOND_US;
        demo_plan(life, DEMO_SEEN_PRODUCT, from + after, index, 0);
    }
}

void demo_product_make(struct demo_life *life)
{
    struct demo_random random;
    const struct demo_kol *kol = &life->kol;
    demo_random_init(&random, life->world->seed, (uint64_t)kol->number, DEMO_SHOP);
    bool sells = demo_chance(&random, life->world->reference ? 0.9 : 0.45);
    size_t count = 1 + demo_below(&random, 6);
    life->product_count = 0;
    if (kol->platform != PLATFORM_TIKTOK || kol->bot || !sells || life->video_count == 0) {
        return;
    }
    if (count > life->product_cap) {
        life->product_cap = count * 2;
        life->products = mem_realloc(life->products, life->product_cap * sizeof *life->products);
    }
    life->product_count = count;
    for (size_t i = 0; i < count; i++) {
        make_product(life, &life->products[i], i);
        plan_product(life, i, &random);
    }
}

void demo_put_product(struct demo_life *life, const struct demo_moment *moment, struct event *event)
{
    const struct demo_product *product = &life->products[moment->subject];
    const struct demo_video *video = &life->videos[product->video];
    struct demo_counts counts = demo_counts_at(video, moment->time_us);
    int64_t total = counts.likes + counts.comments + counts.shares;
    double views = fmax((double)counts.views, 1), rate = (double)total / views;
    double sold = floor(demo_exp(fmin(3.5 + appeal(product, rate, views) + product->noise, 16)));

    event->type = EVENT_PRODUCT;
    DEMO_SET(event, product, PRODUCT, video_id, video->id);
    DEMO_SET(event, product, PRODUCT, product_id, product->id);
    DEMO_SET(event, product, PRODUCT, product_title, product->title);
    DEMO_SET(event, product, PRODUCT, seller_id, product->seller_id);
    DEMO_SET(event, product, PRODUCT, price, product->price);
    DEMO_SET(event, product, PRODUCT, currency, STR("VND"));
    DEMO_SET(event, product, PRODUCT, product_url, product->url);
    DEMO_SET(event, product, PRODUCT, keyword, str_of(product->keyword));
    if (product->sold_as_text) {
        struct str text = demo_count_text(&life->arena, &life->kol, (int64_t)sold);
        DEMO_SET(event, product, PRODUCT, sold_count_raw, text);
    } else {
        DEMO_SET(event, product, PRODUCT, sold_count, (int64_t)sold);
    }
    DEMO_SET(event, product, PRODUCT, video_views, counts.views);
    DEMO_SET(event, product, PRODUCT, video_likes, counts.likes);
    DEMO_SET(event, product, PRODUCT, video_comments, counts.comments);
    DEMO_SET(event, product, PRODUCT, video_shares, counts.shares);
    if (product->total_given) {
        DEMO_SET(event, product, PRODUCT, engagement_total, total);
    }
    if (product->rate_given) {
        DEMO_SET(event, product, PRODUCT, engagement_rate, floor(rate * 1e6 + 0.5) / 1e6);
    }
    if (product->ctr > 0) {
        DEMO_SET(event, product, PRODUCT, est_ctr, product->ctr);
        DEMO_SET(event, product, PRODUCT, est_clicks, floor(views * product->ctr + 0.5));
    }
}
