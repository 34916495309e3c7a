"""Heads: modules between the backbone and a loss, discarded after training.

features V S F A D --> projection or prototypes ----------> frame/shot loss
         |
         +-- mean over F and A --> shot embeddings V S D --> predictors --> video losses
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from footage.models.config import ATTENTION_HEADS
from footage.shapes import Embeddings, ShotEmbeddings

ATTENTION_LAYERS = 2
"""Number of layers in the transformer predictor [ours]."""

BOTTLENECK = 256
"""Width before the prototypes, as in DINO."""


class ShotPooling(nn.Module):
    """Pool the features of a shot's frames and views into one shot embedding.

    VIVI pools frame features, not their projections; the mean is its default and attention the
    alternative [recalled .7]. `attention` weights each view by the softmax, over the shot, of one
    linear score of its features; it is initialised to the mean [ours].
    """

    def __init__(self, feature_dim: int, kind: Literal["mean", "attention"] = "mean") -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            # No bias: the softmax over a shot is invariant to it.
            self.score = nn.Linear(feature_dim, 1, bias=False)
            nn.init.zeros_(self.score.weight)

    def forward(self, features: Embeddings) -> ShotEmbeddings:
        """Return shot embeddings in the order of the shots."""
        if self.kind == "mean":
            return features.mean(dim=(2, 3))
        views = features.flatten(2, 3)
        return (self.score(views).softmax(dim=2) * views).sum(dim=2)  # type: ignore[no-any-return]


class Projection(nn.Module):
    """Projection head: map features to the embeddings that a frame/shot loss compares.

    `linear` is one fully connected layer, as in the same laboratory's exemplar code [paper: 1000].
    `mlp` has one hidden layer as wide as the features, as is usual for InfoNCE since SimCLR [ours].
    It has no batch norm, so that the result does not depend on the number of processes.
    """

    def __init__(
        self, feature_dim: int, embedding_dim: int, kind: Literal["linear", "mlp"] = "linear"
    ) -> None:
        super().__init__()
        hidden = [nn.Linear(feature_dim, feature_dim), nn.ReLU()] if kind == "mlp" else []
        self.layers = nn.Sequential(*hidden, nn.Linear(feature_dim, embedding_dim))

    def forward(self, features: Embeddings) -> Float[Tensor, "V S F A E"]:
        """Compute the embedding of every view."""
        return self.layers(features)  # type: ignore[no-any-return]


class PrototypeHead(nn.Module):
    """Head of self-distillation: compute the similarity of each view to learnt prototypes.

    As in DINO (Caron et al. 2021, appendix C): an MLP down to 256 dimensions, normalised, then the
    cosine with every prototype. Ours: its hidden layers are as wide as the features.
    """

    def __init__(self, feature_dim: int, num_prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(feature_dim, feature_dim),
            nn.GELU(),
            nn.Linear(feature_dim, feature_dim),
            nn.GELU(),
            nn.Linear(feature_dim, BOTTLENECK),
        )
        self.prototypes = nn.Parameter(torch.randn(num_prototypes, BOTTLENECK))

    def forward(self, features: Embeddings) -> Float[Tensor, "V S F A E"]:
        """Compute cosines with the prototypes, from -1 to 1."""
        bottleneck = normalize(self.layers(features), dim=-1)
        return linear(bottleneck, normalize(self.prototypes, dim=-1))


class CausalTransformer(nn.Module):
    """A small causal transformer over a video's shots: each attends to itself and earlier ones.

    Pre-norm layers without dropout, learnt positions [ours].

    Args:
        input_dim: Width of the mapped shots.
        hidden_dim: Width of the transformer; a multiple of `ATTENTION_HEADS`.
        num_shots: Longest sequence.
    """

    def __init__(self, input_dim: int, hidden_dim: int, num_shots: int) -> None:
        super().__init__()
        self.enter = nn.Linear(input_dim, hidden_dim)
        self.positions = nn.Parameter(0.02 * torch.randn(num_shots, hidden_dim))
        layer = nn.TransformerEncoderLayer(
            hidden_dim,
            ATTENTION_HEADS,
            dim_feedforward=4 * hidden_dim,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, ATTENTION_LAYERS, norm=nn.LayerNorm(hidden_dim), enable_nested_tensor=False
        )

    def forward(self, shots: Float[Tensor, "V S E"]) -> Float[Tensor, "V S H"]:
        """Return the state after each shot."""
        num_shots = shots.shape[1]
        unseen = torch.ones(num_shots, num_shots, dtype=torch.bool, device=shots.device).triu(1)
        entered = self.enter(shots) + self.positions[:num_shots]
        return self.layers(entered, mask=unseen)  # type: ignore[no-any-return]


class FutureShotPredictor(nn.Module):
    """Read a video's shots in order and predict the embeddings of the shots that follow.

    One fully connected layer (512) maps each shot embedding, an LSTM (256) or a causal transformer
    reads them in order, and one linear layer for every step ahead predicts the mapped embedding of
    that shot.
    Recalled: LSTM of width 256 after a layer of 512 [.35]; critic bilinear or inner product [.75].
    Ours: predictions are made in the space of the mapped shots, a ReLU follows the layer only at
    the predictor's input, and the transformer.

    Args:
        feature_dim: Width of the shot embeddings.
        steps: Number of shots ahead to predict: 1 to `steps`.
        embedding_dim: Width of the mapped shots, the space of the critic.
        hidden_dim: Width of the predictor.
        kind: Type of the predictor.
        shots_per_video: Longest sequence; only the transformer uses it.
        critic: `bilinear` compares by a learnt matrix, `inner_product` directly.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        steps: int,
        embedding_dim: int = 512,
        hidden_dim: int = 256,
        kind: Literal["lstm", "transformer"] = "lstm",
        shots_per_video: int = 8,
        critic: Literal["bilinear", "inner_product"] = "bilinear",
    ) -> None:
        super().__init__()
        self.steps = steps
        self.embed = nn.Linear(feature_dim, embedding_dim)
        self.read: nn.Module
        if kind == "transformer":
            self.read = CausalTransformer(embedding_dim, hidden_dim, shots_per_video)
        else:
            self.read = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
        self.predict = nn.ModuleList(nn.Linear(hidden_dim, embedding_dim) for _ in range(steps))
        self.critic: nn.Module = nn.Identity()
        if critic == "bilinear":
            self.critic = nn.Linear(embedding_dim, embedding_dim, bias=False)

    def forward(
        self, shots: ShotEmbeddings
    ) -> list[tuple[Float[Tensor, "V _ E"], Float[Tensor, "V _ E"]]]:
        """Return predictions and targets for each step m = 1, 2, ..., at the S - m valid places.

        At place k the predictor has read the shots 1..k and predicts shot k + m. The inner
        product of a prediction with a target is the critic's value: its matrix is already applied.
        """
        targets = self.embed(shots)
        states = self.read(torch.relu(targets))
        states = (
            states[0] if isinstance(states, tuple) else states
        )  # an LSTM also returns its memory
        num_shots = shots.shape[1]
        return [
            (self.critic(predict(states[:, : num_shots - step])), targets[:, step:])
            for step, predict in enumerate(self.predict, start=1)
        ]


class OrderPredictor(nn.Module):
    """Read a video's shots in the given order and predict whether that order is backward.

    `mlp` reads the concatenated sequence, `lstm` reads it shot by shot. Recalled: both named [.6].

    Args:
        feature_dim: Width of the shot embeddings.
        shots_per_video: Length of the sequence.
        hidden_dim: Width of the hidden layer or of the LSTM.
        kind: Type of the predictor.
    """

    def __init__(
        self,
        feature_dim: int,
        shots_per_video: int,
        *,
        hidden_dim: int = 256,
        kind: Literal["mlp", "lstm"] = "mlp",
    ) -> None:
        super().__init__()
        self.kind = kind
        if kind == "lstm":
            self.read = nn.LSTM(feature_dim, hidden_dim, batch_first=True)
        else:
            self.hidden = nn.Linear(feature_dim * shots_per_video, hidden_dim)
        self.decide = nn.Linear(hidden_dim, 1)

    def forward(self, shots: ShotEmbeddings, reversed: Bool[Tensor, " V"]) -> Float[Tensor, " V"]:
        """Return the log-odds of backward, after reversing the videos marked `reversed`."""
        shown = torch.where(reversed[:, None, None], shots.flip(1), shots)
        if self.kind == "lstm":
            state = self.read(shown)[0][:, -1]
        else:
            state = torch.relu(self.hidden(shown.flatten(1)))
        return self.decide(state).squeeze(1)  # type: ignore[no-any-return]
