"""Take the screenshot of a report: `python docs/images/draw_report.py report.html`.

It needs chromium, on the path or named by the environment variable CHROMIUM.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SIZE = (1100, 1180)
"""Width and height of the page's first screen, in pixels."""


def main() -> None:
    """Write report.png next to this file, with few enough colours to be small."""
    page = Path(sys.argv[1]).resolve()
    browser = os.environ.get("CHROMIUM", "chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        subprocess.run([browser, *options, size, f"--screenshot={shot}", page.as_uri()], check=True)
        picture = Image.open(shot).convert("RGB").quantize(colors=128)
        picture.save(Path(__file__).with_name("report.png"), optimize=True)


if __name__ == "__main__":
    main()
