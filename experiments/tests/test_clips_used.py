"""The page of sources sums the ingest results of each source's clips."""

from experiments.clips_used import page


def clip(name, source, seconds):
    return {
        "file": name, "source_repo": source, "commit": "0123456789abcdef", "licence": "MIT",
        "seconds": str(seconds), "subject": "street",
    }  # fmt: skip


def video(path, shots, frames, black=0, static=0, status="ok"):
    return {
        "path": path, "num_shots": shots, "num_frames": frames, "black_frames": black,
        "static_frames": static, "status": status,
    }  # fmt: skip


def test_shots_and_frames_are_summed_for_each_source():
    rows = [clip("a/1.mp4", "who/a", 60), clip("a/2.mp4", "who/a", 30), clip("b/1.mp4", "B/b", 12)]
    videos = [
        video("a/1.mp4", 2, 100, black=1),
        video("a/2.mp4", 1, 60, static=4, status="partial"),
        video("b/1.mp4", 0, 0, status="quarantined"),
    ]
    text = page(rows, videos, held_out=["B/b"])
    assert "| who/a | 0123456789 | MIT | street | 2 | 1.5 | 3 | 160 | 1 | 4 |" in text
    assert "| B/b * | 0123456789 | MIT | street | 1 | 0.2 | 0 | 0 | 0 | 0 |" in text
    assert "3 clips of 2 repositories,\n2 minutes" in text
    assert "into 3 shots and kept 160 frames" in text
    assert "rejected\n1 clips" in text
    assert text.index("B/b") < text.index("who/a")
