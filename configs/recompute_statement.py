"""Adds up the statement of a month again, so that you need not take anybody's word for it.

    python recompute_statement.py statement-2026-03_net_12345_EUR.csv
    python recompute_statement.py statement.csv 12345

The file is the CSV of your statement. The number is what it should come to, in the smallest unit of the currency
(cents); without one, it is taken from the file's name. Needs Python 3 and nothing else, and sends nothing anywhere.
Ends with 0 where everything agrees and with 1 where something does not.
"""

import csv
import re
import sys

# Digits after the point, where a currency has not two of them.
DIGITS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"], 0
)
DIGITS.update(dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3))


def written(cents, currency):
    digits = DIGITS.get(currency, 2)
    number = str(abs(cents)).rjust(digits + 1, "0")
    number = f"{number[:-digits]}.{number[-digits:]}" if digits else number
    return f"{'-' if cents < 0 else ''}{number} {currency}".rstrip()


def main(path, told=None):
    if told is None and (named := re.search(r"_net_(-?\d+)_[A-Z]{3}", path)):
        told = named[1]
    gross = fee = tax = compute = net = owed = 0
    wrong = []
    currencies = set()
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, line in enumerate(csv.DictReader(file), 2):
            # What a client paid is split: the operator's fee, tax, the share of other authors, and yours.
            parts = [int(line[part]) for part in ("fee", "tax", "others", "share")]
            if int(line["price"]) != sum(parts):
                wrong.append(f"row {number}: {line['price']} is not {' + '.join(map(str, parts))}")
            currencies.add(line["currency"])
            gross += int(line["price"])
            tax += int(line["tax"])
            net += int(line["share"])
            owed += int(line.get("owed") or 0)  # of a flat monthly sum: no part of what you earned
            if line["kind"] == "compute":  # a training, taken from what you earned
                compute += int(line["fee"])
            else:
                fee += int(line["fee"])
    if len(currencies) > 1:
        wrong.append(f"sums of several currencies are in one file: {', '.join(sorted(currencies))}")
    currency = min(currencies, default="")
    for name, cents in (("gross", gross), ("fee", fee), ("tax", tax), ("compute", compute), ("net", net)):
        print(f"{name:8}{written(cents, currency):>20}")
    if owed:
        print(
            f"Beside that you owe {written(abs(owed), currency)} {'less' if owed < 0 else 'more'} than before the month."
        )
    if told is None:
        wrong.append("what it should come to is neither in the file's name nor behind it; give the number")
    elif int(told) != net:
        wrong.append(f"it should come to {written(int(told), currency)}, and comes to {written(net, currency)}")
    print("\n".join(wrong) or "Every row and the total agree.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
