"""Rows of the paper map: networks, models, data, training, claims."""

from docs.pages.paper_row import Row

ROWS = "evaluation.averages:published"
"""Module that reads published rows; the numbers are stored as data next to it."""

SECTIONS = {
    "Networks": [
        Row(
            "ResNet-50 v2 (pre-activation) with batch norm",
            "paper",
            "models.config:BackboneConfig.architecture",
            "implementation of timm",
        ),
        Row(
            '"Big", R50x3: three times as wide',
            "paper",
            "recipes.methods:METHODS['vivi-ex4-big'] models.config:BackboneConfig.options",
        ),
        Row(
            "the pooled features before the heads are transferred",
            "paper",
            "models.backbone:Backbone.forward models.load:Model commands.export:export",
        ),
        Row("any 2-D network of timm, ViT included", "ours", "models.backbone:build"),
        Row(
            "random or given initial weights",
            "ours",
            "training.config:TrainConfig.init models.initial_weights:initial_weights",
        ),
    ],
    "Models": [
        Row("VIVI-Ex(4)", "paper", "recipes.methods:METHODS['vivi-ex4']"),
        Row("VIVI-Rot", "paper", "recipes.methods:METHODS['vivi-rot']"),
        Row("VIVI-Ex(4)-Big", "paper", "recipes.methods:METHODS['vivi-ex4-big']"),
        Row("VIVI-Ex(4)-Co, 10 % and 100 %", "paper", "recipes.methods:METHODS['vivi-ex4-co']"),
        Row(
            "VIVI-Ex(4)-Co-Big",
            "recalled",
            "recipes.methods:METHODS['vivi-ex4-co'] models.config:BackboneConfig.options",
            "no separate recipe: --backbone.options width_factor 3",
        ),
        Row(
            "Ex-YT-F: exemplar, views of one frame", "paper", "recipes.methods:METHODS['ex-frame']"
        ),
        Row("Ex-YT-S: exemplar, frames of one shot", "paper", "recipes.methods:METHODS['ex-shot']"),
        Row("supervised", "paper", "recipes.methods:METHODS['sup']"),
        Row(
            "Sup-Rotation",
            "paper",
            "recipes.methods:METHODS['sup-rot']",
            "views are drawn a second time",
        ),
        Row(
            "Sup-Exemplar",
            "paper",
            "recipes.methods:METHODS['sup-ex']",
            "4 views, drawn a second time",
        ),
        Row("Semi-Exemplar-10 %", "paper", "recipes.methods:METHODS['semi-ex']", "4 views"),
        Row(
            "frames as images: the same frames, shuffled across videos",
            "ours",
            "recipes.methods:METHODS['frames-as-images'] "
            "data.config:SamplingConfig.structure['shuffled']",
        ),
        Row(
            "modern variants",
            "ours",
            "recipes.methods:METHODS['vivi-nce'] recipes.methods:METHODS['vivi-vicreg'] "
            "recipes.methods:METHODS['vivi-dino']",
        ),
        Row(
            "a frozen teacher as one more level",
            "ours",
            "recipes.methods:METHODS['vivi-distil'] objectives.levels.teacher:TeacherLevel",
        ),
        Row(
            "adaptation of pretrained weights",
            "ours",
            "recipes.methods:METHODS['vivi-ex4-adapt'] recipes.methods:METHODS['ex-frame-adapt']",
        ),
        Row(
            "all three levels, with separate heads for frames and shots",
            "ours",
            "recipes.methods:METHODS['vivi-full']",
        ),
    ],
    "Data": [
        Row(
            "YouTube-8M's training set, about 3.7 million videos",
            "paper",
            "commands.ingest:ingest",
            "not included; any folder of videos works",
        ),
        Row(
            "about 1 frame per second",
            "recalled .6",
            "ingestion.config:IngestConfig.frames_per_second",
            "use --frames-per-second 1 for the paper's",
        ),
        Row(
            "shots from a simple detector of colour histogram changes",
            "recalled .65",
            "video.detectors.adaptive:AdaptiveCuts ingestion.config:IngestConfig.detector",
            "adaptive frame differences (as in PySceneDetect) and fades, or TransNet v2",
        ),
        Row(
            "K shots x L frames per video, K and L between 4 and 8",
            "recalled .3",
            "data.config:SamplingConfig recipes.scales:SCALES['paper']",
            "the low end of both; the handling of shorter videos is ours",
        ),
        Row("224 px", "recalled", "data.config:AugmentConfig.size recipes.scales:SCALES['paper']"),
    ],
    "Training": [
        Row(
            "SGD with momentum 0.9",
            "recalled .25-.5",
            "optim.config:OptimizerConfig.name optim.config:OptimizerConfig.momentum",
        ),
        Row(
            "linear warm-up over 5k steps",
            "recalled .25-.5",
            "optim.schedules:ScheduleConfig.warmup_fraction optim.schedules:learning_rate",
            "a fraction of the run, 5/120 at the paper's scale",
        ),
        Row(
            "step-wise decay",
            "recalled .25-.5",
            "optim.schedules:ScheduleConfig.name['steps'] "
            "optim.schedules:ScheduleConfig.decay_fractions",
            "the positions are ours",
        ),
        Row(
            "hundreds of videos per batch",
            "recalled .25-.5",
            "recipes.scales:SCALES['paper'] data.config:SamplingConfig.videos_per_batch",
            "the low end",
        ),
        Row(
            "2048 labelled images per batch",
            "recalled .25-.5",
            "recipes.scales:SCALES['paper'] training.config:LabelledConfig.images_per_batch",
        ),
        Row("about 120k steps", "recalled .25-.5", "recipes.scales:SCALES['paper']"),
        Row(
            "a slice of a TPU pod",
            "recalled .25-.5",
            "distributed:init_from_env distributed:gather",
            "GPUs under torchrun; losses use the global batch, batch norm that of one process",
        ),
        Row(
            "BiT: 0.03 for 256 images, momentum 0.9, weight decay 1e-4, 5000 steps of warm-up",
            "paper",
            "optim.config:OptimizerConfig.learning_rate "
            "optim.config:OptimizerConfig.weight_decay "
            "recipes.scales:SCALES['paper']",
            "stands in for VIVI's own rate, which is unknown",
        ),
        Row(
            "gradients clipped at norm 1, bfloat16 in the backbone if the device supports it",
            "ours",
            "training.config:TrainConfig.gradient_clip training.config:TrainConfig.precision",
        ),
        Row(
            "scales for one GPU and for a laptop",
            "ours",
            "recipes.scales:SCALES['gpu'] recipes.scales:SCALES['tiny']",
        ),
    ],
    "Claims": [
        Row(
            "1. best self-supervised transfer on VTAB, 19 tasks of 1000 labels",
            "paper",
            "suites.vtab.tasks:TASKS evaluation.runner:run",
            "evaluated by this code, not measured yet; at a small scale: "
            "[results.md](../../experiments/results.md)",
        ),
        Row(
            "2. co-trained: 0.8 points above an ImageNet ResNet-50 with 10 times fewer labels",
            "paper",
            "recipes.methods:METHODS['vivi-ex4-co']",
            "on CIFAR-10 and a small suite: [results.md](../../experiments/results.md#co-training)",
        ),
        Row("2. with all labels: 3.7 points above the best supervised model", "paper", ""),
        Row("best VTAB-1k mean 70.4 to 70.5, R50x3, sweep of 4 points", "recalled", ""),
        Row(
            "3. modest gains in robustness: ImageNet-Vid-Robust, YTBB-Robust",
            "paper",
            "invariance.robustness:robustness",
            "the metric, on your own labelled videos; neither data set is included, nor any gain",
        ),
        Row(
            "invariance profile: levels of a video, and one rendered factor at a time",
            "ours",
            "invariance.video_levels:profile_of invariance.factors:factors",
        ),
        Row(
            "frozen features evaluated by kNN and linear probe on your own labelled images",
            "ours",
            "commands.evaluate:evaluate evaluation.probes:knn evaluation.probes:linear",
            "not comparable with VTAB",
        ),
        Row(
            "online metrics for collapse and shortcuts on held-out videos",
            "ours",
            "training.online_metrics:compute metrics.representation:retrieval "
            "objectives.objective:Objective.chance",
        ),
    ],
    "VTAB-1k of the same laboratory's baselines": [
        Row(
            "protocol: ResNet-50, 1000 examples, sweep of 4 points, resize to 224",
            "paper",
            "evaluation.protocols:PROTOCOLS['lightweight']",
            "selects as VTAB version 2 does; these baselines: version 1",
        ),
        Row("scratch: mean 43.1, natural 27.9, specialised 68.9, structured 43.6", "paper", ROWS),
        Row("jigsaw: 52.5, 44.0, 76.5, 47.9", "paper", ROWS),
        Row("relative patch: 53.5, 46.0, 76.6, 48.4", "paper", ROWS),
        Row("exemplar: 58.0, 48.9, 78.4, 55.8", "paper", ROWS),
        Row("rotation: 60.5, 53.7, 78.6, 57.3", "paper", ROWS),
        Row("semi-exemplar-10 %: 65.3, 70.2, 81.9, 52.7", "paper", ROWS),
        Row("supervised: 66.4, 73.5, 82.5, 52.1", "paper", ROWS),
        Row("sup-exemplar: 67.7, 73.7, 83.1, 54.7", "paper", ROWS),
        Row("sup-rotation: 68.0, 73.6, 83.1, 55.5", "paper", ROWS),
        Row(
            "a larger sweep alone raises supervised to 71.2: never mix sweeps",
            "recalled",
            "evaluation.averages:one_identity",
        ),
    ],
}
"""The rows under their headings."""
