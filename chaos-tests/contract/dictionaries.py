"""Writes schemathesis' configuration with what a demo sells: venues, products, slots and units that are there.

    dictionaries.py READY_FILE TEMPLATE OUTPUT

Prints the demo's token.
"""

import datetime
import json
import sys
import urllib.request

# One that is open at every hour of every day.
VENUE = "lord-howe-reef"


def main(ready_file: str, template: str, output: str) -> None:
    with open(ready_file, encoding="utf-8") as file:
        ready = json.load(file)

    def get(path: str):
        with urllib.request.urlopen(ready["router"] + path, timeout=30) as answer:
            return json.load(answer)

    today = datetime.date.today()
    days = [(today + datetime.timedelta(days=ahead)).isoformat() for ahead in (2, 3, 4)]
    products = get(f"/v1/venues/{VENUE}/products")
    listed = products.get("products") or products.get("data")
    slots = get(f"/v1/venues/{VENUE}/availability?from={days[0]}&to={days[-1]}")["slots"]
    dictionaries = {
        "venues": [VENUE],
        "products": [product["id"] for product in listed],
        "days": days,
        "slots": [slot["id"] for slot in slots if slot["status"] == "available"][:40],
        "units": sorted({unit["id"] for product in listed for unit in product["units"]}),
        "quantities": [1, 2, 3],
        "codes": [problem["code"] for problem in get("/problems")],
    }
    with open(template, encoding="utf-8") as file:
        text = file.read()
    for name, values in dictionaries.items():
        text += f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n"
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)
    print(ready["token"])


if __name__ == "__main__":
    main(*sys.argv[1:])
