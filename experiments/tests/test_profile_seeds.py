"""experiments/profile_seeds.py: means over seeds, and differences paired by seed."""

from experiments.profile_seeds import table


def profile(*, ex_frame, ex_shot):
    colour = {"raw pixels": 1.0, "ex-frame": ex_frame, "ex-shot": ex_shot}
    colour |= {"vivi-ex4": 2.0, "vivi-rot": 2.0}
    return {
        "models": [
            {"name": name, "factors": {"colour": {"ratio": {"value": value}}}}
            for name, value in colour.items()
        ]
    }


def test_cells_are_means_with_standard_errors_and_differences_are_paired():
    text = table([profile(ex_frame=1.0, ex_shot=2.5), profile(ex_frame=2.0, ex_shot=3.7)])
    assert "| raw pixels | 1.00 |" in text
    assert "| ex-frame | 1.50 ± 0.50 |" in text
    assert "| ex-shot - ex-frame | +1.60 ± 0.10 |" in text
    assert "| vivi-rot - vivi-ex4 | +0.00 |" in text
