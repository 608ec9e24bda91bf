#!/usr/bin/env python3
"""The playground in a headless Chromium: by keyboard on a desk, by finger on a phone, and what it shows is what the API says. Leaves
its screenshots in WDE_BUILD_DIR/playground. Skipped, saying so, where there is no chromedriver.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import math
import os
import pathlib
import tempfile
import unittest

from browser import CONTROL, ENTER, LEFT, RIGHT, TAB, Browser
from serving import DATA, MODEL, Server

PICTURES = pathlib.Path(os.environ.get("WDE_BUILD_DIR", tempfile.gettempdir())) / "playground"
TABS = ["compare", "search", "rerank", "tokens"]
RESULT = {"compare": "td.heat", "search": "ol.hits li", "rerank": "ol.hits li", "tokens": ".tokens span"}


def setUpModule():
    if os.environ.get("WDE_SANITIZE"):
        raise unittest.SkipTest("the page is the same under a sanitizer")
    global server
    PICTURES.mkdir(exist_ok=True)
    server = Server(MODEL, DATA / "bert-cls")


def tearDownModule():
    server.stop()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


class Case(unittest.TestCase):
    def browse(self, *size, **options):
        self.browser = Browser(*size, **options)
        self.addCleanup(self.browser.close)
        self.open(server)

    def open(self, where):
        self.browser.open(f"http://127.0.0.1:{where.port}/")
        self.browser.until(lambda: self.browser.run("return document.readyState === 'complete'"))

    def shown(self, selector):
        return self.browser.run("return [...document.querySelectorAll('form:not([hidden]) ' + arguments[0])].map(e => e.innerText)", selector)

    def result(self, tab):
        return self.browser.until(lambda: self.shown(RESULT[tab]))

    def value(self, name):
        return self.browser.run("return document.getElementById(arguments[0]).value", name)

    def focused(self):
        return self.browser.run("return document.activeElement.id || document.activeElement.className")


class Desk(Case):
    def setUp(self):
        self.browse(1280, 900)
        self.models = self.browser.until(lambda: self.browser.run("return [...document.querySelectorAll('#model option')].map(o => o.value)"))

    def test_by_keyboard_alone(self):
        # model, API, metrics, then the tabs: one stop, with arrows between them.
        self.browser.press(TAB)
        self.assertEqual(self.focused(), "model")
        self.browser.press(TAB, TAB, TAB)
        self.assertEqual(self.focused(), "tab-compare")
        self.browser.press(LEFT)
        self.assertEqual(self.focused(), "tab-tokens")
        self.browser.press(RIGHT, RIGHT)
        self.assertEqual(self.focused(), "tab-search")
        self.browser.press(TAB)
        self.assertEqual(self.focused(), "search-query")
        self.browser.press((CONTROL, "a"), *"blood", (CONTROL, ENTER))
        found = self.result("search")
        self.assertEqual(self.value("search-query"), "blood")
        self.assertEqual(len(found), 5)
        self.browser.press(TAB, TAB)  # the list, then the button
        self.assertEqual(self.focused(), "go")
        outline = self.browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertEqual(outline, "solid")
        self.browser.press(ENTER)
        self.result("search")

    def test_what_is_shown_is_what_the_api_says(self):
        self.assertEqual(self.models, ["bert-mean", "bert-cls"])
        self.browser.run("document.getElementById('model').value = 'bert-cls'")

        def vectors(texts):
            data = server.post("/v1/embeddings", {"model": "bert-cls", "input": texts}).json["data"]
            return [item["embedding"] for item in data]

        for tab in TABS:
            self.browser.tap(f"#tab-{tab}")
            self.browser.press((CONTROL, ENTER))
            found = self.result(tab)
            self.browser.screenshot(PICTURES / f"desk-{tab}.png")
            if tab == "compare":
                of = vectors(self.value("compare-texts").split("\n"))
                expected = [f"{cosine(a, b):.2f}".replace("-0.00", "0.00") for a in of for b in of]
                self.assertEqual(found, expected)
                colours = set(self.browser.run("return [...document.querySelectorAll('td.heat')].map(e => e.style.background)"))
                self.assertGreater(len(colours), 2)
            elif tab == "search":
                texts = self.value("search-texts").split("\n")
                query, *others = vectors([self.value("search-query"), *texts])
                scores = sorted((cosine(query, v) for v in others), reverse=True)
                self.assertEqual([line.split("\n")[0] for line in found], [f"{s:.3f}" for s in scores])
                self.assertEqual({line.split("\n")[1] for line in found}, set(texts))
            elif tab == "rerank":
                body = {"model": "bert-cls", "query": self.value("rerank-query"), "documents": self.value("rerank-texts").split("\n")}
                ranked = server.post("/v1/rerank", body).json["results"]
                self.assertEqual([line.split("\n")[1] for line in found], [r["document"]["text"] for r in ranked])
            else:
                tokens = server.post("/tokenize", {"model": "bert-cls", "inputs": self.value("tokens-text")}).json[0]
                self.assertEqual([text.rstrip()[-len(str(t["id"])):] for text, t in zip(found, tokens)], [str(t["id"]) for t in tokens])
                self.assertEqual(len(found), len(tokens))
            self.assertRegex(self.shown(".row .note")[0], r"^\d+ ms, \d+ tokens")
        self.assertEqual(self.browser.complaints(), [])
        hosts = self.browser.run("return performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
        self.assertEqual(set(hosts), {f"127.0.0.1:{server.port}"})

    def test_what_is_wrong_is_said(self):
        self.browser.run("document.getElementById('compare-texts').value = ''")
        self.browser.tap("#compare .go")
        self.assertIn("must not be empty", self.browser.until(lambda: self.shown(".error"))[0])
        self.browser.run("document.getElementById('compare-texts').value = 'a\\nb'")
        self.browser.tap("#compare .go")
        self.assertEqual(len(self.result("compare")), 4)

    def test_a_key_is_asked_for(self):
        with Server(flags=["--api-key", "sesame"]) as locked:
            self.open(locked)
            self.browser.until(lambda: self.browser.run("return !document.getElementById('key-box').hidden"))
            self.browser.tap("#key")
            self.browser.press(*"sesame", TAB)
            self.browser.until(lambda: self.browser.run("return document.getElementById('model').value === 'bert-mean'"))
            self.browser.tap("#compare .go")
            self.assertEqual(len(self.result("compare")), 25)


class Phone(Case):
    def test_by_finger(self):
        self.browse(375, 740, phone=True)
        for tab in TABS:
            self.browser.tap(f"#tab-{tab}")
            self.browser.tap(f"#{tab} .go")
            self.result(tab)
            self.browser.screenshot(PICTURES / f"phone-{tab}.png")
            width, screen = self.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
            self.assertEqual((width, screen), (375, 375), "the page is wider than the phone")
            places = self.browser.run(
                "return ['[role=tab]', 'form:not([hidden]) .go', 'td.heat'].map("
                "s => [...document.querySelectorAll(s)].map(e => e.getBoundingClientRect()).filter(r => r.width))")
            for places_of_one in places:
                for place in places_of_one:
                    self.assertLessEqual(place["right"], 375)  # all of the map and all tabs are on the screen
                    self.assertGreaterEqual(place["height"], 40)  # what a finger hits
        self.assertEqual(self.browser.complaints(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
