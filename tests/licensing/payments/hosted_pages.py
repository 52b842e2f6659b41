"""The pages that Stripe hosts, as plain HTML: one on which a client saves a card, one on which a creator opens an
account."""

from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>
<h1>{title}</h1>
<form method="post">{fields}</form>
</body></html>"""
CARD = """<label>Card number <input name="number" value="4242424242424242" inputmode="numeric"></label>
<button name="go" value="save">Save card</button> <button name="go" value="back">Back</button>"""
ACCOUNT = """<p>Nothing of this is a real bank.</p>
<button name="go" value="open">Open account</button> <button name="go" value="back">Back</button>"""


def add_pages(app: FastAPI, fake: Any) -> None:
    @app.get("/c/pay/{session_id}")
    async def card_page(session_id: str) -> Response:
        return HTMLResponse(PAGE.format(title="Save a card", fields=CARD), 200 if session_id in fake.objects else 404)

    @app.post("/c/pay/{session_id}")
    async def card_saved(request: Request, session_id: str) -> Response:
        form, session = await request.form(), fake.objects[session_id]
        if form.get("go") != "save":
            return RedirectResponse(session["cancel_url"], 303)
        fake.save_card(session_id, str(form["number"]).replace(" ", ""))
        return RedirectResponse(session["success_url"].replace("{CHECKOUT_SESSION_ID}", quote(session_id)), 303)

    @app.get("/setup/e/{account_id}")
    async def account_page(account_id: str) -> Response:
        return HTMLResponse(
            PAGE.format(title="Open an account", fields=ACCOUNT), 200 if account_id in fake.objects else 404
        )

    @app.post("/setup/e/{account_id}")
    async def account_opened(request: Request, account_id: str) -> Response:
        if (await request.form()).get("go") == "open":
            fake.complete_account(account_id)
        return RedirectResponse(fake.objects[account_id]["_return_url"], 303)
