"""Rows of the paper map: the hierarchy, the losses, co-training."""

from docs.pages.paper_row import Row

SECTIONS = {
    "The hierarchy": [
        Row(
            "a video is a sequence of shots, a shot is a run of frames between two cuts",
            "paper",
            "store.reader:Store video.shots:ShotBuilder data.sampling:BatchPlan",
        ),
        Row(
            "invariant to what changes inside a level, informative about what changes across it",
            "paper",
            "objectives.objective:Objective",
        ),
        Row(
            "frame level: stable under colour, contrast and crop",
            "paper",
            "data.config:AugmentConfig objectives.config:FrameShotConfig.positives['frame']",
        ),
        Row(
            "shot level: robust to orientation, lighting, motion; frames of a shot are positives",
            "paper",
            "objectives.config:FrameShotConfig.positives['shot'] objectives.positives:identities",
        ),
        Row(
            "video level: relations of scenes; predict across the shot embeddings of a video",
            "paper",
            "objectives.levels.video:FutureLevel objectives.levels.video:OrderLevel",
        ),
    ],
    "Notation": [
        Row(
            "x[v,s,f], frame f of shot s of video v",
            "paper",
            "shapes:Views data.sampling:BatchPlan data.batches:load_views",
            "a fourth axis A for the views of a frame",
        ),
        Row("phi, the backbone", "paper", "models.backbone:Backbone"),
        Row(
            "h = phi(x), frame features",
            "paper",
            "models.backbone:Backbone.forward shapes:Embeddings",
        ),
        Row(
            "p, pooling over the frames of a shot",
            "paper",
            "models.heads:ShotPooling",
            "over frames and views",
        ),
        Row("e[v,s] = p(h[v,s,1..F]), shot embedding", "paper", "shapes:ShotEmbeddings"),
        Row("ehat[v,k+m], predicted shot", "paper", "models.heads:FutureShotPredictor.forward"),
        Row("g, critic", "paper", "objectives.config:FutureConfig.critic"),
        Row(
            "M, frames of a shot with one identity",
            "paper",
            "data.config:SamplingConfig.frames_per_shot",
        ),
        Row("M_steps, shots ahead", "recalled .75", "objectives.config:FutureConfig.steps"),
        Row(
            "K shots x L frames per video",
            "recalled .3",
            "data.config:SamplingConfig.shots_per_video data.config:SamplingConfig.frames_per_shot",
        ),
    ],
    "The loss": [
        Row(
            "L = L_frame/shot + lambda L_video + gamma L_supervised",
            "paper",
            "objectives.objective:Objective.forward objectives.config:ObjectiveConfig",
        ),
        Row(
            "lambda, about 0.04",
            "recalled .2",
            "objectives.config:FutureConfig.weight objectives.config:OrderConfig.weight",
            "one for each of the two video losses",
        ),
        Row(
            "gamma, about 1",
            "recalled .2",
            "objectives.config:SupervisedConfig.weight recipes.methods:METHODS['vivi-ex4-co']",
        ),
        Row(
            "gamma > 0 only when co-training",
            "paper",
            "objectives.config:SupervisedConfig.weight training.datasets:open_data",
        ),
        Row(
            "mean pooling by default",
            "recalled .7",
            "objectives.config:ObjectiveConfig.pooling['mean']",
        ),
        Row(
            "attention pooling as the alternative",
            "recalled .7",
            "objectives.config:ObjectiveConfig.pooling['attention'] models.heads:ShotPooling",
            "one linear score per view, initialised to the mean [ours]",
        ),
    ],
    "Frame and shot losses": [
        Row(
            "rotation: each frame is rotated by 0 to 3 quarters, which a linear head predicts",
            "recalled .8",
            "objectives.losses.rotation:RotationConfig "
            "objectives.levels.rotation:RotationLevel "
            "objectives.objective:Objective.rotations training.module:rotated "
            "objectives.losses.classification:classification",
            "each view is shown in one rotation, the views of a shot evenly in all four",
        ),
        Row(
            "rotation reaches shots only through pooling and the video losses",
            "recalled .8",
            "recipes.methods:METHODS['vivi-rot']",
        ),
        Row(
            "exemplar, Ex(M): M consecutive sampled frames of a shot, augmented once, one identity",
            "recalled .8",
            "objectives.losses.exemplar:exemplar "
            "objectives.losses.exemplar:ExemplarConfig "
            "objectives.positives:identities",
        ),
        Row(
            "triplets with semi-hard mining over the batch",
            "recalled .8",
            "objectives.losses.exemplar:triplet objectives.mining:mine "
            "objectives.losses.exemplar:ExemplarConfig.mining['semi-hard']",
            "if no negative is farther than the positive, the farthest one",
        ),
        Row(
            "Ex(1), exemplar of single frames",
            "paper",
            "objectives.config:FrameShotConfig.positives['frame'] "
            "recipes.methods:METHODS['ex-frame']",
        ),
        Row("M = 4 in the headline model", "recalled .8", "recipes.methods:METHODS['vivi-ex4']"),
        Row(
            "margin 0.5 (revisiting-self-supervised)",
            "paper",
            "objectives.losses.exemplar:ExemplarConfig.margin",
        ),
        Row(
            "1000-dimensional embedding by one linear layer (same code)",
            "paper",
            "objectives.config:FrameShotConfig.embedding_dim models.heads:Projection",
        ),
        Row(
            "distances of normalised embeddings (same code)",
            "paper",
            "objectives.losses.exemplar:triplet",
            "each embedding is normalised; that code normalises over the batch",
        ),
        Row(
            "inception crop, flip, HSV colour noise, grey two times in three (same code)",
            "paper",
            "data.config:EXEMPLAR data.views:draw recipes.scales:SCALES['paper']",
            "hue is rotated in YIQ; colour strengths and the tiny scale's views are ours",
        ),
        Row(
            "batch-hard mining, sampling by hardness, soft hinge (s4l)",
            "paper",
            "objectives.losses.exemplar:ExemplarConfig.mining['batch-hard'] "
            "objectives.losses.exemplar:ExemplarConfig.mining['hardness-sampled'] "
            "objectives.losses.exemplar:ExemplarConfig.hinge['soft']",
            "distances are squared",
        ),
        Row("8 views per image (s4l)", "paper", "recipes.methods:METHODS['sup-ex']", "4 views"),
        Row(
            "parts of one shot share an identity and are never negatives of each other",
            "ours",
            "objectives.positives:identities "
            "data.config:SamplingConfig.short_video_policy['split']",
        ),
        Row(
            "views of a frame and frames of a shot as positives, in separate heads",
            "ours",
            "objectives.config:FrameConfig objectives.config:ObjectiveConfig.frame",
        ),
        Row(
            "InfoNCE with several positives, VICReg, self-distillation",
            "ours",
            "objectives.losses.nce:multi_positive_nce objectives.losses.vicreg:vicreg "
            "objectives.losses.distillation:self_distillation "
            "objectives.levels.distillation:DistillationLevel training.module:TrainModule.follow",
        ),
    ],
    "Video losses": [
        Row(
            "shot order: reversed with probability 1/2, forward or backward by cross-entropy",
            "paper",
            "objectives.losses.classification:shot_order objectives.levels.video:OrderLevel",
        ),
        Row(
            "order predictor: an MLP over the whole sequence, or an LSTM",
            "recalled .6",
            "models.heads:OrderPredictor objectives.config:OrderConfig.predictor['mlp'] "
            "objectives.config:OrderConfig.predictor['lstm']",
            "width 256 [ours]",
        ),
        Row(
            "future shots: an LSTM reads e[v,1..k] and predicts e[v,k+m], m = 1..M_steps",
            "recalled .75",
            "models.heads:FutureShotPredictor "
            "objectives.config:FutureConfig.predictor['lstm'] "
            "objectives.config:FutureConfig.steps",
            "every k with k + m in the video predicts, instead of one",
        ),
        Row(
            "sum over m",
            "recalled .75",
            "objectives.levels.video:FutureLevel.forward",
            "mean over k",
        ),
        Row(
            "L_NCE = -mean over v of log(exp g(ehat, e) / ((1/V) sum over u of exp g(ehat, e_u)))",
            "recalled .75",
            "objectives.losses.future_shots:future_shot_nce "
            "objectives.config:FutureConfig.loss['nce']",
        ),
        Row(
            "critic g: bilinear, or inner product of projections",
            "recalled .75",
            "objectives.config:FutureConfig.critic['bilinear'] "
            "objectives.config:FutureConfig.critic['inner_product']",
        ),
        Row(
            "negatives: shots of other videos of the global batch",
            "recalled .75",
            "objectives.losses.future_shots:future_shot_nce distributed:gather",
            "those at the same position in their video",
        ),
        Row("LSTM of width 256", "recalled .35", "objectives.config:FutureConfig.hidden_dim"),
        Row(
            "preceded by a fully connected layer of 512",
            "recalled .35",
            "objectives.config:FutureConfig.embedding_dim",
            "targets are mapped by it too; a ReLU only at the predictor's input",
        ),
        Row(
            "a model uses order or future shots",
            "recalled",
            "recipes.methods:METHODS['vivi-ex4']",
            "the VIVI recipes use both; --objective.order.weight 0 leaves one",
        ),
        Row(
            "regression of the future shot",
            "ours",
            "objectives.losses.future_shots:future_shot_mse "
            "objectives.config:FutureConfig.loss['mse']",
        ),
        Row(
            "a causal transformer reads the shots",
            "ours",
            "models.heads:CausalTransformer "
            "objectives.config:FutureConfig.predictor['transformer']",
        ),
    ],
    "Co-training": [
        Row(
            "each step adds a batch of labelled images from another domain to the videos",
            "paper",
            "training.datasets:open_data images.dataset:open_images "
            "data.image_sampler:ImageSampler "
            "training.loader:batches",
            "ImageNet there; here whatever --labels contains",
        ),
        Row(
            "10 % or all of the labels",
            "paper",
            "training.config:TrainConfig.label_fraction data.label_subset:label_fraction",
            "selection of the 10 %: by a hash of each name, stratified by class [ours]",
        ),
        Row(
            "linear head with cross-entropy, weight gamma",
            "paper",
            "objectives.levels.supervised:SupervisedLevel "
            "objectives.losses.classification:classification",
        ),
        Row(
            "AutoAugment-style policy in the strongest models",
            "recalled .6",
            "data.config:LabelledViewConfig.policy['autoaugment'] data.policies:auto_augment",
            "off in the recipes: --labelled.view.policy autoaugment",
        ),
        Row(
            "RandAugment",
            "ours",
            "data.config:LabelledViewConfig.policy['randaugment'] data.policies:rand_augment",
        ),
        Row(
            "batch statistics of the two sources",
            "ours",
            "training.config:LabelledConfig.statistics['separate'] "
            "training.config:LabelledConfig.statistics['joint'] training.module:TrainModule",
            "not stated in the paper; the running averages follow both",
        ),
        Row(
            "label smoothing",
            "ours",
            "objectives.config:SupervisedConfig.label_smoothing",
        ),
    ],
}
"""The rows under their headings."""
