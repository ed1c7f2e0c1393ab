"""The report in a headless browser: no error, every figure drawn, nothing wider than a phone."""

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PROBE = """<script>
addEventListener("load", () => {
  const box = (e) => { const r = e.getBoundingClientRect(); return [r.width, r.height]; };
  const figures = [...document.querySelectorAll("figure")].map((f) => {
    const svg = f.querySelector("svg");
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const texts = [...svg.querySelectorAll("text")].map(
      (t) => parseFloat(getComputedStyle(t).fontSize) * scale);
    return {id: f.id, size: box(svg), shapes: svg.querySelectorAll("path,use,text").length,
            drawn: [...svg.querySelectorAll("path,use")].filter((e) => box(e).some((n) => n > 0))
              .length, least: Math.min(...texts)};
  });
  const heads = [...document.querySelectorAll("tbody th")].map((t) => box(t)[0]);
  const out = {figures, heads: heads.filter((w) => w > 0),
               inner: innerWidth, wide: document.documentElement.scrollWidth,
               tables: [...document.querySelectorAll("table")].map((t) => {
                 const p = t.closest(".scroll").getBoundingClientRect(); return p.right; })};
  parent.postMessage(JSON.stringify(out), "*");
});
</script></body>"""
#: A window may not be narrower than 500 pixels; a frame may.
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,"><body style="margin:0"><script>
addEventListener("message", (event) => {
  const pre = document.createElement("pre");
  pre.id = "probe"; pre.textContent = event.data; document.body.appendChild(pre);
});
</script><iframe src="probed.html" style="border:0" width="WIDTH" height="2400"></iframe></body>"""


def browse(file, width, tmp_path, *arguments):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / f'profile-{width}'}",
        f"--window-size={width},2400", "--virtual-time-budget=10000", *arguments, file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_every_figure_without_an_error(path, page, tmp_path, width):
    copy = tmp_path / "probed.html"
    copy.write_text(path.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    finished = browse(frame, max(width, 500), tmp_path, "--dump-dom")
    assert "CONSOLE" not in finished.stderr
    found = re.search(r'<pre id="probe">(.*?)</pre>', finished.stdout, re.DOTALL)
    seen = json.loads(found.group(1).replace("&gt;", ">").replace("&lt;", "<"))
    assert seen["inner"] == width
    assert seen["wide"] <= width  # only the boxes of tables and of wide figures scroll
    assert all(right <= width for right in seen["tables"])
    if width < 500:
        assert min(seen["heads"]) >= 100  # words of a row's heading are not torn apart
    assert [figure["id"] for figure in seen["figures"]] == [f["id"] for f in page.figures]
    for figure in seen["figures"]:
        assert min(figure["size"]) > 100, figure
        assert figure["drawn"] > 10, figure
        assert figure["least"] > 7, figure  # text that can be read


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_a_screenshot_is_not_blank(path, tmp_path):
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    browse(path, 800, tmp_path, f"--screenshot={shot}")
    pixels = imread(shot)[..., :3]
    assert pixels.std() > 0.05
