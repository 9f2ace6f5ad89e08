"""Hand-made events for the corners of the lake's tables that no data set has all of."""


def video(name, time, **fields):
    return {"event_type": "video", "platform": "tiktok", "video_id": name,
            "event_time": f"2025-06-{time}Z", **fields}  # fmt: skip


def profile(time, **fields):
    time = f"2025-06-{time}Z"
    return {"event_type": "profile", "platform": "tiktok", "event_time": time, **fields}


def counts(views, likes=None, comments=None, shares=None):
    told = {"view_count": views, "like_count": likes, "comment_count": comments,
            "share_count": shares}  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def corners():
    """The events, in the order in which they are imported."""
    ann = {"username": "ann"}
    # A total that falls and rises again; one moment told twice with different counts.
    yield video("falls", "10T08:00:00", **ann, **counts(100, 10, 1, 0))
    yield video("falls", "10T08:20:00", **ann, **counts(50, 12, 1, 0))
    yield video("falls", "10T09:10:00", **ann, **counts(80, 12, 2, 5))
    yield video("falls", "11T09:10:00", **ann, **counts(75, 13, 2, 5))
    yield video("falls", "11T09:10:00", **ann, **counts(70, 14, 2, 5))
    yield video("falls", "11T10:10:00", **ann, **counts(150, 13, 2))
    yield video("falls", "11T10:10:00", **ann, **counts(200, 13, 2))
    yield video("falls", "11T10:10:00", **ann, **counts(180, 13, 2))
    yield video("falls", "11T11:10:00", **ann, **counts(200, 13, 2, 9))
    yield video("moment", "11T10:10:00", **ann, **counts(5, 3), title="First")
    yield video("moment", "11T10:10:00", **ann, **counts(4, 2), title="Second")
    # Views that are told late, shares never.
    yield video("late", "10T08:00:00", **ann, **counts(None, 5), caption="L" * 150)
    yield video("late", "10T12:00:00", **ann, **counts(900, 6), content_type="reel")
    yield video("late", "11T12:00:00", **ann, **counts(1000, 6))
    # First sight in the hour, on the day, within 24 hours, long after and before the posting.
    for name, posted in (
        ("hour", "2025-06-11T10:01:00Z"),
        ("day", "2025-06-11T02:00:00Z"),
        ("window", "2025-06-10T14:00:00Z"),
        ("old", "2025-05-01T00:00:00Z"),
        ("future", "2025-06-12T00:00:00Z"),
    ):
        for minute, views in ((30, 500), (50, 700)):
            yield video(name, f"11T10:{minute}:00", **ann, **counts(views, 7), posted_at=posted,
                        content_type="live")  # fmt: skip
        yield video(name + "-once", "11T11:00:00", **ann, **counts(333, 3, 2, 1), posted_at=posted)
    yield video("never-posted", "11T11:05:00", **ann, **counts(10**6, 9, 9, 9))
    yield video("no-views", "11T11:06:00", **ann, **counts(0, 9, 9, 9),
                posted_at="2025-06-11T01:00:00Z")  # fmt: skip
    yield video("nothing", "11T11:07:00", **ann)
    # Whose video it is: an id alone, a name before an id, another event, nobody.
    yield video("by-id", "11T11:08:00", user_id="4711", **counts(5))
    yield video("name-first", "11T11:08:00", **ann, user_id="1", **counts(5))
    yield video("name-first", "11T11:09:00", user_id="1", **counts(6))
    for name in ("by-comment", "by-product", "nobody"):
        yield video(name, "11T11:10:00", **counts(50, 5), tags=["a", "b"], duration_seconds=7)
    comment = {"event_type": "comment", "platform": "tiktok", "comment_text": "ok"}
    comment["video_id"] = "by-comment"
    yield comment | {"event_time": "2025-06-11T11:11:00Z", "username": "bob"}
    yield comment | {"event_time": "2025-06-11T11:12:00Z", "username": "cy"}
    yield {"event_type": "discovery", "platform": "tiktok", "event_time": "2025-06-11T11:11:30Z",
           "username": "dee", "video_id": "by-comment"}  # fmt: skip
    sold = {"event_type": "product", "platform": "tiktok", "username": "bob", "product_id": "p1"}
    yield sold | {"event_time": "2025-06-11T11:00:00Z", "sold_count": 10, "video_id": "by-product"}
    yield sold | {"event_time": "2025-06-11T11:00:00Z", "sold_count": 12, "username": "ann"}
    yield sold | {"event_time": "2025-06-11T12:00:00Z", "sold_count_raw": "1,2K"}
    yield sold | {"event_time": "2025-06-11T13:00:00Z", "sold_count": 1100}
    yield sold | {"event_time": "2025-06-11T14:00:00Z"}
    yield sold | {"event_time": "2025-06-11T14:00:00Z", "sold_count": 5, "product_id": None}
    # A history: tiers up and down, verified lost, a category that changes twice within a day.
    yield profile("09T00:00:00", **ann, nickname="Ann", bio="", verified=True, has_url=False)
    yield profile("10T00:00:00", **ann, followers_raw="999", category="food")
    yield profile("10T23:59:59", **ann, followers_raw="1,2N", category="music", following_count=3)
    yield profile("12T00:00:00", **ann, followers_count=999, verified=False, account_age_days=30)
    yield profile("13T00:00:00", **ann, followers_count=1500000, bio="Xin chào 👋", post_count=4)
    yield profile("13T00:00:00", **ann, followers_count=1500001, avatar_url="https://a.example/1")
    yield profile("14T00:00:00", **ann, verified=True)
    # Two of a day for the median; the other alone on the day on which a count is a week old.
    yield profile("13T12:00:00", username="bob", followers_count=10)
    yield profile("20T12:00:00", username="bob", followers_count=11)
    yield profile("24T00:00:00", **ann, favorites_count=0, label="human", post_count=5)
    yield profile("24T00:00:00", user_id="4711", followers_count=1500001, avatar_url="")
    # The same name elsewhere is another KOL; a YouTube channel that only its videos tell of.
    yield profile("24T00:00:00", **ann, followers_count=5) | {"platform": "twitter"}
    yield video("yt", "05T00:00:00", username="Kênh: một", user_id="UC1", **counts(77)) | {
        "platform": "youtube", "posted_at": "2025-06-05T18:00:00Z"
    }  # fmt: skip


def product(name, time, **fields):
    return {"event_type": "product", "platform": "tiktok", "event_id": name,
            "event_time": f"2025-{time}Z", **fields}  # fmt: skip


def score_corners():
    """The same for features and scores. The newest event is of 12:09:30 on the 25th of June."""
    # Contents that are new, old, falling, and of which a total is told late.
    new = {"username": "fast", "posted_at": "2025-06-25T12:02:00Z"}
    yield video("s-before", "25T12:03:00", **new, **counts(300))
    yield video("s-new", "25T12:05:10", **new, **counts(400))
    yield video("s-new", "25T12:08:00", **new, **counts(900))
    yield video("s-before", "25T12:09:00", **new, **counts(400))
    old = {"posted_at": "2025-06-01T00:00:00Z"}
    yield video("s-old", "25T12:06:00", username="old", **old, **counts(10**6, 10**4))
    yield video("s-old", "25T12:09:00", username="old", **old, **counts(10**6 + 20, 10**4 + 5))
    yield video("s-fall", "24T12:20:00", username="fall", **old, **counts(1000))
    yield video("s-fall", "25T12:07:00", username="fall", **old, **counts(900))
    yield video("s-late", "20T12:00:00", username="late", **old, **counts(None, 5))
    yield video("s-late", "25T12:06:00", username="late", **old, **counts(70, 5))
    yield video("s-late", "25T12:09:30", username="late", **old, **counts(100, 5))
    yield video("s-nobody", "25T12:09:00", **counts(10**9))
    # A baseline, and one who was seen 24 hours before the newest event and no later.
    yield video("s-week", "18T13:30:00", username="fast", **old, **counts(0))
    yield video("s-week", "20T13:30:00", username="fast", **old, **counts(10080 * 3, 7))
    yield video("s-gone", "24T12:09:30", username="gone", **old, **counts(5))
    yield profile("25T00:00:00", username="profile-only", followers_count=10)
    # Ages.
    yield profile("24T23:59:59", username="born", account_created_at="2025-06-15T00:00:00Z")
    yield profile("24T10:00:00", username="unborn", account_created_at="2025-06-24T10:00:01Z",
                  account_age_days=7)  # fmt: skip
    yield profile("20T10:00:00", username="aged", account_age_days=100)
    yield profile("22T10:00:00", username="aged", label="human")
    yield profile("22T09:00:00", username="bot", label="bot", followers_count=10**12,
                  following_count=0, post_count=0, account_age_days=0, bio="")  # fmt: skip
    # What is known of an account before, at the very moment of and after its label.
    outed = {"username": "outed"}
    yield profile("20T09:00:00", **outed, followers_count=50000, bio="Hi", following_count=9,
                  account_created_at="2025-01-01T00:00:00Z")  # fmt: skip
    yield profile("21T09:00:00", **outed, label="bot", post_count=10)
    yield profile("21T09:00:00", **outed, following_count=7)
    yield profile("22T09:00:00", **outed, followers_count=3, bio="", verified=False)
    # Products: the newest event counts, prices of other currencies do not, what is old is left out.
    best = {"video_views": 10**6, "video_likes": 10**5, "video_comments": 0, "video_shares": 0,
            "est_ctr": 0.5, "sold_count": 9}  # fmt: skip
    seller = {"username": "seller"}
    yield profile("22T10:00:00", **seller)
    yield product("sold-old", "06-01T00:00:00", **seller, product_id="a", sold_count=1)
    yield product("sold-new", "06-21T00:00:00", **seller, product_id="a", **best)
    yield product("sold-dollar", "06-21T00:00:00", **seller, product_id="b", price=5.5,
                  currency="USD", video_views=25000, engagement_total=2500, engagement_rate=0.05,
                  est_ctr=0.1, sold_count=4)  # fmt: skip
    yield product("sold-dong", "06-21T00:00:00", username="shop", product_id="b2", price=75000,
                  currency="VND", video_views=25000, engagement_total=2500, engagement_rate=0.1,
                  est_ctr=0.5, sold_count=40)  # fmt: skip
    yield product("sold-stale", "03-24T10:00:00", **seller, product_id="c", **best)
    yield product("sold-nothing", "06-21T00:00:00", **seller, product_id="d")
    yield product("sold-content-old", "06-20T00:00:00", username="fast", video_id="s-week")
    yield product("sold-content", "06-21T00:00:00", username="fast", video_id="s-week", **best)
    for number in range(30):
        yield product(f"sold-{number}", f"06-20T00:00:{number:02}", username=f"shop-{number % 4}",
                      product_id=f"p{number // 2}", sold_count=number, price=number * 40000,
                      video_views=number * 1000)  # fmt: skip
