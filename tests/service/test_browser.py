"""The page in a browser: modes, errors, the keyboard, two visitors, downloads; wide and on a phone, light and dark.

After every test: nothing was fetched from another host, and no address held the name of a file. Screenshots are written
to JAXRESP_SCREENSHOTS, or beside the test's other files.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jaxresp.classifier import Classifier

from .conftest import PATIENT, Served, assert_same_answer, breath, encode

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the PATH"),
]

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream",
)  # fmt: skip
_WIDE = """return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest(
  '.jr-scroll, .jr-hidden, #sound, #card table, #data table, .jr-plot, .jr-axis')
  && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"""


class Page:
    """The page in one browser window.

    Args:
        driver: of the browser.
        url: of the service.
        folder: where files and screenshots go.
    """

    def __init__(self, driver: Any, url: str, folder: Path) -> None:
        self.driver, self.url, self.folder = driver, url, folder

    def open(self, width: int = 1280, theme: str = "light") -> Page:
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get(f"{self.url}/ui/?__theme={theme}")
        self.wait("#sound input[type=file]")
        self.wait_for(lambda: self.all(".jr-clips button"))
        return self

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Until it is so; the page may draw anew what is being looked at."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 90, ignored_exceptions=[StaleElementReferenceException]).until(
            lambda _: what()
        )

    def wait(self, selector: str) -> Any:
        return self.wait_for(lambda: self.all(selector))[0]

    def text(self, selector: str) -> str:
        return str(self.wait_for(lambda: [each.text for each in self.all(selector)])[0])

    def upload(self, sound: bytes) -> None:
        path = self.folder / f"{PATIENT}.wav"
        path.write_bytes(sound)
        self.wait("#sound input[type=file]").send_keys(str(path))
        self.wait("#sound .waveform-container, #sound audio")

    def tab(self, name: str) -> None:
        def shown() -> Any:
            return [t for t in self.all("[role=tab]") if t.text.strip() == name and t.is_displayed()]

        self.wait_for(shown)[0].click()

    def ask(self, mode: str = "quick") -> None:
        if mode != "quick":
            self.tab(mode.capitalize())
        self.wait_for(lambda: self.all(f"#{mode}-classify") and self.all(f"#{mode}-classify")[0].is_displayed())
        self.all(f"#{mode}-classify")[0].click()

    def answered(self) -> None:
        """Wait for the answer and what spoke for it."""
        self.wait("#answer [data-say]")
        self.wait("#picture .jr-spoke")

    def shot(self, name: str) -> None:
        folder = Path(os.environ.get("JAXRESP_SCREENSHOTS") or self.folder / "screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        width, height = self.driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 4000), "scale": 1}
        how = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        png = self.driver.execute_cdp_cmd("Page.captureScreenshot", how)["data"]
        (folder / f"{name}.png").write_bytes(base64.b64decode(png))

    def fits(self) -> None:
        assert self.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert self.driver.execute_script(_WIDE) == [], "wider than the screen"

    def addresses(self) -> list[str]:
        """Every address the browser has asked for."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def new_page(served: Served, tmp_path: Path) -> Iterator[Callable[[], Page]]:
    """Opens browsers; afterwards looks at what they have asked for."""
    from selenium import webdriver

    pages: list[Page] = []

    def make() -> Page:
        folder = tmp_path / str(len(pages))
        folder.mkdir()
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        pages.append(Page(driver, served.url, folder))
        return pages[-1]

    try:
        yield make
        for page in pages:
            asked = page.addresses()
            assert asked, "the browser's log of requests is empty"
            for address in asked:
                assert address.startswith((served.url, "data:", "blob:", "chrome", "file:")), address
                assert PATIENT not in address.replace("file:", "")
    finally:
        for page in pages:
            page.driver.quit()


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    return new_page()


def quick_model(served: Served) -> Classifier:
    return served.offline[httpx.get(f"{served.url}/v1/models").json()["quick"]]


LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_every_mode_answers_and_fits(page: Page, width: int, theme: str) -> None:
    page.open(width, theme).shot(f"start-{width}-{theme}")
    page.upload(encode(breath(12, 8_000), 8_000))
    page.ask("quick")
    page.answered()
    top = "return document.getElementById('answer').getBoundingClientRect().top"
    page.wait_for(lambda: page.driver.execute_script(top) < 700)  # in sight, also on a phone
    page.fits()
    page.wait(".jr-show").click()
    page.wait_for(lambda: page.all(".jr-overlay")[0].value_of_css_property("opacity") == "1")
    page.shot(f"quick-{width}-{theme}")
    page.ask("compare")
    page.wait("#answer .jr-comparison")
    assert len(page.all("#answer .jr-comparison tr[data-model]")) == 6
    assert not page.all("#answer .jr-error")
    page.fits()
    page.shot(f"compare-{width}-{theme}")


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_tabs_about_data_models_and_metrics(page: Page, width: int, theme: str) -> None:
    page.open(width, theme)
    for name, shown in (("Data", "#data *"), ("Models", "#models *"), ("Metrics", "#metrics .jr-tiles")):
        page.tab(name)
        page.wait_for(lambda shown=shown: any(each.is_displayed() for each in page.all(shown)))
        page.fits()
        page.shot(f"{name.lower()}-{width}-{theme}")
        if name == "Models":
            before = page.text("#card")
            other = next(
                each for each in page.all("#card-of label") if not each.find_elements("css selector", ":checked")
            )
            other.click()
            page.wait_for(lambda before=before: page.text("#card") != before)


def test_the_flexible_mode_asks_the_chosen_model(page: Page, served: Served) -> None:
    sound = encode(breath(7, 8_000), 8_000)
    page.open().upload(sound)
    page.tab("Flexible")
    for words in ("Normal or abnormal", "Log-mel"):
        page.wait_for(lambda words=words: [e for e in page.all("label") if e.text == words and e.is_displayed()])[
            0
        ].click()
    page.ask("flexible")
    page.answered()
    expected = served.offline["binary-logmel"].predict(sound)
    assert page.text("#answer h2") == expected.label
    assert "Log-mel" in page.text("#answer .jr-by")
    assert f"Answer: {expected.label}" in page.wait("#jr-said").get_attribute("textContent")


def test_a_bad_file_is_explained_with_a_remedy_and_a_good_one_answered_after_it(page: Page) -> None:
    page.open().ask()
    assert "no recording yet" in page.text("#answer [role=alert]")
    path = page.folder / f"{PATIENT}.wav"
    path.write_bytes(b"this is text")
    page.wait("#sound input[type=file]").send_keys(str(path))
    page.wait_for(lambda: page.all("#sound audio, #sound .waveform-container"))
    page.wait("#answer .jr-empty")
    page.ask()
    problem = page.text("#answer [role=alert]")
    assert "No answer" in problem
    assert page.all("#answer .jr-remedy"), problem
    assert PATIENT not in problem
    page.shot("bad-file")
    page.wait("#sound button[aria-label=Clear]").click()
    page.upload(encode(breath(6, 8_000), 8_000))
    page.ask()
    page.answered()
    assert not page.all("#answer [role=alert]")


def test_another_sound_takes_the_answer_away(page: Page) -> None:
    page.open().upload(encode(breath(6, 8_000), 8_000))
    page.ask()
    page.answered()
    page.all(".jr-clips button")[0].click()
    page.wait("#answer .jr-empty")
    page.wait_for(lambda: not any(each.is_displayed() for each in page.all("#picture, #downloads, #raw")))


def test_a_microphone_that_may_not_be_used_is_explained(page: Page) -> None:
    refused = {"permission": {"name": "microphone"}, "setting": "denied", "origin": page.url}
    page.driver.execute_cdp_cmd("Browser.setPermission", refused)
    page.open()
    page.wait("#sound button[aria-label='Record audio']").click()
    for button in page.all("#sound button"):
        if "record" in button.text.lower() and button.is_displayed():
            button.click()
            break
    page.wait_for(lambda: page.all("#jr-mic") and page.all("#jr-mic")[0].is_displayed())
    words = page.text("#jr-mic")
    assert "may not use the microphone" in words
    assert "choose a file" in words
    page.shot("microphone-denied")


def test_two_visitors_get_their_own_answers(new_page: Callable[[], Page], served: Served) -> None:
    pages, sounds = [new_page().open(), new_page().open()], [encode(breath(s, 8_000, s), 8_000) for s in (7, 11)]
    for page, sound in zip(pages, sounds, strict=True):
        page.upload(sound)
    for page in pages:
        page.ask()
    quick = quick_model(served)
    for page, sound, duration in zip(pages, sounds, ("7.0 s", "11.0 s"), strict=True):
        page.answered()
        assert page.text("#answer h2") == quick.predict(sound).label
        assert duration in page.text("#answer .jr-facts")


def test_the_answer_can_be_taken_along(page: Page, served: Served) -> None:
    sound = encode(breath(7, 8_000), 8_000)
    page.open().upload(sound)
    page.ask()
    page.answered()
    folder = page.folder / "downloads"
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    for link in page.all("#downloads a"):
        link.click()
    page.wait_for(lambda: len(list(folder.glob("*.json"))) == 1 and len(list(folder.glob("*.html"))) == 1)
    time.sleep(0.5)
    whole = json.loads(next(folder.glob("*.json")).read_text())
    expected = quick_model(served).predict(sound)
    assert_same_answer(whole["prediction"], expected.to_json())
    assert whole["explanation"]["class"] == expected.label
    report = next(folder.glob("*.html"))
    assert PATIENT not in report.read_text()
    page.driver.get(report.as_uri())
    assert page.text("section h2") == expected.label
    assert "not a medical device" in page.text(".jr-notice")
    assert page.driver.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    page.shot("report")


def test_the_keyboard_is_enough(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open()

    def walk_to(selector: str) -> None:
        """Press Tab until the element has the focus, and see that it shows."""
        for _ in range(40):
            page.driver.switch_to.active_element.send_keys(Keys.TAB)
            if page.driver.execute_script("return document.activeElement.matches(arguments[0])", selector):
                style = page.driver.execute_script(
                    "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
                )
                assert style == ["solid", "3px"], f"the focus on {selector} does not show: {style}"
                return
        pytest.fail(f"40 times Tab do not reach {selector}")

    walk_to(".jr-clips button")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait("#sound audio, #sound .waveform-container")
    walk_to("#quick-classify")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.answered()
    walk_to(".jr-show")
    page.driver.switch_to.active_element.send_keys(Keys.SPACE)
    page.wait_for(lambda: page.all(".jr-overlay")[0].value_of_css_property("opacity") == "1")
    walk_to("#downloads a")


def test_every_control_has_a_name_and_every_picture_a_text(page: Page) -> None:
    page.open().upload(encode(breath(6, 8_000), 8_000))
    page.ask()
    page.answered()
    nameless = page.driver.execute_script(
        """const named = e => e.getAttribute('aria-label') || e.getAttribute('title') || e.textContent.trim()
             || (e.labels && [...e.labels].some(l => l.textContent.trim())) || e.getAttribute('alt');
           return [...document.querySelectorAll('button, input, a, textarea, select, img, [role=img]')]
             .filter(e => e.checkVisibility() && !named(e)).map(e => e.outerHTML.slice(0, 160))"""
    )
    assert nameless == []
    assert page.driver.execute_script("return document.documentElement.lang") == "en"
    assert page.driver.execute_script("return document.querySelectorAll('h1').length") == 1


def test_an_upload_is_gone_when_another_is_chosen_and_when_its_page_is_closed(page: Page, served: Served) -> None:
    (folder,) = served.pages.glob("jaxresp-ui-*/uploads")
    others = set(folder.iterdir())
    page.open().upload(encode(breath(6, 8_000), 8_000))
    page.ask()
    page.answered()
    (first,) = set(folder.iterdir()) - others
    assert PATIENT not in str(first)
    page.wait("#sound button[aria-label=Clear]").click()
    page.wait_for(lambda: not first.exists())
    page.upload(encode(breath(7, 8_000), 8_000))
    page.ask()
    page.answered()
    assert len(set(folder.iterdir()) - others) == 1
    page.driver.get("data:text/html,gone")
    page.wait_for(lambda: not set(folder.iterdir()) - others)
