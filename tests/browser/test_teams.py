"""A client lets somebody act for it and takes that back, in two browsers without scripts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Seat, Shop, Sit
from tests.browser.test_desk_journeys import outputs_on
from tests.browser.test_pages import WIDTHS, faults_of

pytestmark = pytest.mark.browser


def test_an_owner_invites_a_member_orders_and_is_ended(shop: Shop, sit: Sit, rich_client: Callable[..., Seat]):
    owner, ada = rich_client(has_scripts=False), sit("client", name="Ada Lund", has_scripts=False)
    owner.open("/desk/team")
    owner.page.get_by_label("E-mail address").fill(ada.email)
    owner.page.get_by_role("radio", name=re.compile("^Makes pictures")).check()
    owner.press("Invite")
    link = owner.page.locator("#link").inner_text()

    ada.page.goto(link)
    expect(ada.page.get_by_role("heading", name="Studio North asks you into its team")).to_be_visible()
    expect(ada.page.get_by_text("no money pages and no keys")).to_be_visible()
    ada.press("Accept, and act for Studio North")
    assert ada.path == "/desk"
    expect(ada.page.get_by_text("You act for Studio North, as: Makes pictures.")).to_be_visible()
    assert ada.page.get_by_role("link", name="Money", exact=True).count() == 0

    ada.open(f"/desk/make?style={shop.style_id}")
    ada.page.get_by_label("What should the picture show?").fill("a lighthouse")
    ada.press("Order for")
    assert len(outputs_on(ada)) == 1

    owner.open("/desk/history")
    expect(owner.page.get_by_text("by Ada Lund")).to_be_visible()
    assert not [fault for width in WIDTHS for fault in faults_of(owner, "/desk/team", width)]
    assert not [fault for width in WIDTHS for fault in faults_of(ada, "/desk", width)]

    ada.open(f"/desk/make?style={shop.style_id}")
    ada.page.get_by_label("What should the picture show?").fill("a second lighthouse")
    owner.open("/desk/team")
    owner.press("End it: the membership of Ada Lund")
    expect(owner.page.get_by_text("The membership is ended.")).to_be_visible()
    ada.press("Order for")
    expect(ada.page.get_by_text("You do not act for this client any more:")).to_be_visible()

    ada.press("Act for myself")
    assert ada.path == "/desk"
    expect(ada.page.get_by_text("Your pictures will be here.")).to_be_visible()
    owner.open("/desk/history")
    assert owner.page.locator(".orders li").count() == 1
