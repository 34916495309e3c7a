r"""Where does video structure pay off? Recipes and controls on the tasks of the pocket-video suite.

    python -m experiments.video_tasks RESULTS.jsonl --store STORE --suite POCKET \
        --video-suite POCKET-VIDEO --masks POCKET-VIDEO/propagation --seeds 0
    python -m experiments.video_tasks RESULTS.jsonl --table

The two recipes, `vivi-ex4` and `vivi-full`, and the two controls, `ex-frame` and
`frames-as-images`, each with three learning rates, in the setting of `levels.py`: a RegNetX of 200
MFLOP, 1000 steps, 128,000 views, fp32. STORE contains videos with cuts, as in `shipped.py`, or
gameplay, the footage of the in-domain tasks.
"""

from experiments.compare import main
from experiments.levels import COMMON
from experiments.shipped import SHIPPED
from experiments.structure import rates

ARMS = (*SHIPPED, *(arm for shipped in SHIPPED for arm in rates(shipped)))

if __name__ == "__main__":
    main(__doc__ or "", ARMS, COMMON)
