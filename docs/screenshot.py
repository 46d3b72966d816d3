#!/usr/bin/env python3
"""Takes the screenshot of the live page in the README. Needs chromedriver; not run by the tests.

    cargo build --release --package metrics-examples --example observe && docs/screenshot.py
"""

import base64
import json
import pathlib
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 60  # of history in the sparklines


def line_with(process, text):
    for line in process.stdout:
        if text in line:
            return line
    raise SystemExit(f"no {text!r} in the output")


def main():
    observe = subprocess.Popen(
        [ROOT / "target/release/examples/observe", "127.0.0.1:0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        page = line_with(observe, "Live page").split()[-1]
        port = line_with(driver, "started successfully").split()[-1].rstrip(".")
        session = f"http://127.0.0.1:{port}/session"

        def call(path, body=None):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(session + path, data, {"Content-Type": "application/json"})
            return json.load(urllib.request.urlopen(request))["value"]

        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,960"]
        created = call("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}})
        session += "/" + created["sessionId"]
        call("/url", {"url": page})
        time.sleep(SECONDS)
        (ROOT / "docs/live-page.png").write_bytes(base64.b64decode(call("/screenshot")))
        urllib.request.urlopen(urllib.request.Request(session, method="DELETE"))
    finally:
        observe.kill()
        driver.kill()


main()
