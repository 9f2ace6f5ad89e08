"""An unknown KOL: the 404 names those that are called nearly so."""

import pytest


@pytest.mark.parametrize(
    "asked",
    ["ly.sprt", "ly.sporrt", "ly.sprot", "yl.sport", "l.sport", "LY.SPORT.", "ly.sp0rt", "ly.spo", "lý.spört"],
)
def test_a_slip_is_told_the_name(served, asked):
    problem = served.get(f"/api/v1/kols/{asked}", status=404)
    assert problem["code"] == "not_found"
    assert f"'{asked}'" in problem["detail"]
    assert "tiktok:ly.sport" in problem["detail"], problem["detail"]


def test_names_of_the_platform_only(served):
    detail = served.get("/api/v1/kols/ly.sprt", status=404, platform="twitter")["detail"]
    assert "on twitter" in detail and "tiktok:" not in detail
    assert "tiktok:ly.sport" in served.get("/api/v1/kols/tiktok:ly.sprt", status=404)["detail"]


def test_what_is_near_nobody_stays_short(served):
    for text in ("zzqqxxjjkk", "x" * 300, "%E2%80%AE", "*"):
        detail = served.get(f"/api/v1/kols/{text}", status=404)["detail"]
        assert "nearest" not in detail or len(detail) < 1000


def test_every_route_of_a_kol_tells(served):
    for path in ("/api/v1/kols/{}/scores", "/api/v1/scores/{}", "/api/v1/kols/{}/history",
                 "/api/v1/kols/{}/similar", "/api/v1/kols/{}/content", "/api/v1/kols/{}/explain"):
        problem = served.get(path.format("ly.sprt"), status=404)
        assert "tiktok:ly.sport" in problem["detail"], path
