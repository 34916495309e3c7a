r"""Where does video structure pay off? Recipes and controls on the tasks of the pocket-video suite.

    python -m experiments.video_tasks RESULTS.jsonl --store STORE --suite POCKET \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.video_tasks RESULTS.jsonl --table

Prepare the data in about 80 minutes of CPU time. `notebook.md` has the store's content hash, but
another machine may render slightly different videos:

    pocket-suite build --out POCKET
    pocket-suite build --suite pocket-video --out POCKET-VIDEO
    python -m experiments.films --out VIDEOS/films --videos 120
    python -m experiments.compilations --clips CLIPS --out VIDEOS/comp
    pocket-suite gameplay --out VIDEOS/gameplay
    footage ingest VIDEOS --out STORE

The two recipes, `vivi-ex4` and `vivi-full`, and the two controls, `ex-frame` and
`frames-as-images`, are trained with four learning rates each, in the setting of `levels.py`: a
RegNetX of 200 MFLOP, 1000 steps, 128,000 views, fp32. On an idle core, an arm takes 6 minutes to
train and 4 to evaluate. `video_measures.py` summarises the results.
"""

from experiments.compare import main
from experiments.levels import COMMON
from experiments.shipped import SHIPPED
from experiments.structure import rates

RATES = (0.0003, 0.003, 0.01)
"""Learning rates in addition to the tiny scale's 0.001."""

ARMS = (*SHIPPED, *(arm for shipped in SHIPPED for arm in rates(shipped, RATES)))

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
