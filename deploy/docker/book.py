"""Books one place at every venue that sells one in the next ten days, as a visitor would: each request is repeated under one
key until it is answered for good. Ends with 0 where every venue sold one. Standard library only; `check` runs it.

    book.py http://127.0.0.1:8080
"""

import datetime
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

ROUTER = sys.argv[1].rstrip("/")
# What a shard may take to find another leader, many times over.
PATIENCE = 60


def ask(method, path, body=None):
    """The answer's JSON. 4xx is the answer too; 5xx and a broken connection are asked again, under the same key."""
    headers = {"Content-Type": "application/json"}
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            request = urllib.request.Request(ROUTER + path, data=data, headers=headers, method=method)
            with urllib.request.urlopen(request, timeout=15) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code < 500 and error.code != 429:
                return error.code, text
            problem = f"{error.code} {text}"
        except OSError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            sys.exit(f"book: {method} {path} was not answered in {PATIENCE} s: {problem}")
        time.sleep(0.2)


def group(product):
    """The smallest that may book it: one of a unit that goes alone, as many as it wants."""
    alone = [unit for unit in product["units"] if not unit.get("accompanied_by") and not unit.get("requires")]
    return alone[0]["id"], max(1, product.get("min_units_per_booking") or 1)


def book(venue):
    today = datetime.date.today()
    first, last = today + datetime.timedelta(days=2), today + datetime.timedelta(days=10)
    _, products = ask("GET", f"/v1/venues/{venue}/products")
    for product in products["products"]:
        _, offer = ask("GET", f"/v1/venues/{venue}/availability?product={product['id']}&from={first}&to={last}")
        unit, quantity = group(product)
        for slot in offer["slots"]:
            if slot["vacancies"] < quantity:
                continue
            line = {"slot": slot["id"], "unit": unit, "quantity": quantity}
            status, held = ask("POST", "/v1/bookings", {"venue": venue, "channel": "web", "lines": [line]})
            if status >= 300:
                continue
            status, sold = ask("POST", f"/v1/bookings/{held['id']}/confirm", {})
            if status < 300:
                return held["id"]
    sys.exit(f"book: nothing could be booked at {venue}")


def main():
    _, venues = ask("GET", "/v1/venues?limit=200")
    names = [venue["id"] for venue in venues["data"]]
    for name in names:
        book(name)
    print(f"booked and confirmed at {len(names)} venues through {ROUTER}")


main()
