import json

from experiments.migrate_results import RESULTS, migrated


def test_settings_get_their_present_names_and_nothing_else_changes():
    line = '{"label": "a", "settings": {"held_out_share": 0.2, "steps": 300}, "seed": 0}'
    new = '{"label": "a", "settings": {"held_out_fraction": 0.2, "steps": 300}, "seed": 0}'
    assert migrated(line) == new
    assert migrated(new) == new


def test_committed_results_have_the_present_names():
    for path in RESULTS.glob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            assert json.loads(migrated(line)) == json.loads(line), path.name
