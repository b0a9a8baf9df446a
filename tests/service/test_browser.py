"""The page in a browser: wide and on a phone, light and dark, both modes, and nothing fetched from elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import PATIENT, Served, breath, encode

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the PATH"),
]

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.mark.parametrize("mode", ["quick", "flexible"])
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_upload_and_classify(served: Served, browser, tmp_path: Path, mode: str, width: int, theme: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    sound = tmp_path / f"{PATIENT}.wav"
    sound.write_bytes(encode(breath(12, 8_000), 8_000))
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(f"{served.url}/ui/?__theme={theme}")
    wait = WebDriverWait(browser, 60)
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#sound input[type=file]"))[0].send_keys(str(sound))
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#sound .waveform-container, #sound audio"))
    if mode == "flexible":
        next(tab for tab in browser.find_elements(By.CSS_SELECTOR, "[role=tab]") if "Flexible" in tab.text).click()
    button = wait.until(lambda b: b.find_elements(By.ID, f"{mode}-classify"))[0]
    wait.until(lambda _: button.is_displayed())
    button.click()
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#answer .jr-bar"))
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#picture img"))
    overflow = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, "the page is wider than the screen"
    assert not browser.find_elements(By.CSS_SELECTOR, "#answer .jr-error")
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            assert address.startswith((served.url, "data:", "blob:", "chrome")), address
            assert PATIENT not in address
