import pytest
import torch
from torch import nn

from footage.models.heads import FutureShotPredictor, OrderPredictor, Projection, ShotPooling

V, S, F, A, D = 3, 4, 2, 2, 6


def shots(seed=0):
    return torch.randn(V, S, D, generator=torch.Generator().manual_seed(seed))


def test_pooling_is_the_mean_over_frames_and_views():
    features = torch.randn(V, S, F, A, D)
    pooled = ShotPooling(D)(features)
    for video in range(V):
        for shot in range(S):
            views = [features[video, shot, f, a] for f in range(F) for a in range(A)]
            torch.testing.assert_close(pooled[video, shot], sum(views) / len(views))


def test_attention_pooling_begins_as_the_mean():
    features = torch.randn(V, S, F, A, D)
    pooled = ShotPooling(D, "attention")(features)
    torch.testing.assert_close(pooled, features.mean(dim=(2, 3)))


def test_attention_pooling_weights_views_by_the_softmax_of_their_scores():
    pooling = ShotPooling(D, "attention")
    nn.init.normal_(pooling.score.weight, generator=torch.Generator().manual_seed(0))
    features = torch.randn(V, S, F, A, D)
    views = [features[1, 2, f, a] for f in range(F) for a in range(A)]
    scores = torch.stack([pooling.score.weight[0] @ view for view in views]).exp()
    expected = sum(w * view for w, view in zip(scores / scores.sum(), views, strict=True))
    torch.testing.assert_close(pooling(features)[1, 2], expected)


def test_pooling_by_the_mean_has_no_parameters():
    assert not list(ShotPooling(D).parameters())


def test_the_linear_projection_is_one_layer():
    head = Projection(D, 5)
    assert [type(layer) for layer in head.layers] == [nn.Linear]
    features = torch.randn(V, S, F, A, D)
    embeddings = head(features)
    assert embeddings.shape == (V, S, F, A, 5)
    expected = head.layers[0].weight @ features[1, 2, 1, 0] + head.layers[0].bias
    torch.testing.assert_close(embeddings[1, 2, 1, 0], expected)


def test_the_mlp_projection_has_one_hidden_layer():
    head = Projection(D, 5, "mlp")
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.ReLU, nn.Linear]
    assert head(torch.randn(V, S, F, A, D)).shape == (V, S, F, A, 5)


def test_predictions_and_targets_exist_wherever_the_step_fits():
    predictor = FutureShotPredictor(D, steps=3, embedding_dim=5, hidden_dim=7)
    pairs = predictor(shots())
    assert [prediction.shape for prediction, _ in pairs] == [(V, 3, 5), (V, 2, 5), (V, 1, 5)]
    for step, (_, target) in enumerate(pairs, start=1):
        torch.testing.assert_close(target, predictor.embed(shots())[:, step:])


def test_a_prediction_sees_only_the_shots_before():
    predictor = FutureShotPredictor(D, steps=2)
    seen = shots()
    other = seen.clone()
    other[:, 2:] = shots(1)[:, 2:]  # the first two shots stay
    for (prediction, _), (changed, _) in zip(predictor(seen), predictor(other), strict=True):
        torch.testing.assert_close(prediction[:, :2], changed[:, :2])
    (one_ahead, _), _ = predictor(seen)
    (one_ahead_of_other, _), _ = predictor(other)
    assert not torch.allclose(one_ahead[:, 2], one_ahead_of_other[:, 2])


def test_each_step_ahead_has_a_prediction_of_its_own():
    one, two = FutureShotPredictor(D, steps=2)(shots())
    assert not torch.allclose(one[0][:, :2], two[0])


def test_the_bilinear_critic_is_a_matrix_between_prediction_and_target():
    predictor = FutureShotPredictor(D, steps=1, embedding_dim=5)
    bilinear = predictor(shots())[0]
    matrix, predictor.critic = predictor.critic.weight, nn.Identity()
    plain = predictor(shots())[0]
    torch.testing.assert_close(bilinear[0], plain[0] @ matrix.T)
    torch.testing.assert_close(bilinear[1], plain[1])


def test_the_inner_product_critic_has_no_parameters():
    predictor = FutureShotPredictor(D, steps=1, critic="inner_product")
    assert not list(predictor.critic.parameters())


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_only_marked_videos_are_turned_round(kind):
    predictor = OrderPredictor(D, S, kind=kind)
    forward = predictor(shots(), torch.tensor([False, False, False]))
    mixed = predictor(shots(), torch.tensor([False, True, False]))
    torch.testing.assert_close(mixed[[0, 2]], forward[[0, 2]])
    turned = predictor(shots().flip(1), torch.tensor([False, False, False]))
    torch.testing.assert_close(mixed[1], turned[1])
    assert not torch.allclose(mixed[1], forward[1])


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_the_order_of_a_growing_number_can_be_learnt(kind):
    torch.manual_seed(0)
    predictor = OrderPredictor(D, S, kind=kind)
    rising = shots() * 0.1 + torch.arange(S)[None, :, None]
    optimizer = torch.optim.Adam(predictor.parameters(), lr=0.01)
    for step in range(60):
        reversed = torch.arange(V) % 2 == step % 2
        logits = predictor(rising, reversed)
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits, reversed.float()).backward()
        optimizer.step()
    assert ((predictor(rising, reversed) > 0) == reversed).all()
