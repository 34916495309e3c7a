"""The brute-force twin of each loss: loops over Python numbers, sharing nothing with it."""

import math


def unit(rows):
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def softmax(scores):
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return [exponential / sum(exponentials) for exponential in exponentials]


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def identity_of_each(shape, positives):
    videos, shots, frames, views = shape
    return [
        (v, s, f) if positives == "frame" else (v, s)
        for v in range(videos)
        for s in range(shots)
        for f in range(frames)
        for _ in range(views)
    ]


def places(shots, frames, views):
    """Of each embedding: the number of its shot, its place among the shots, its frame, its view."""
    return [
        (number, place, f, a)
        for place, number in enumerate(shots.flatten().tolist())
        for f in range(frames)
        for a in range(views)
    ]


def belong_together(one, other, positives):
    """Whether two different views are a positive pair; None where they are not compared."""
    same_frame = one[1:3] == other[1:3]
    if one == other or (positives == "other_frames" and same_frame):
        return None
    return same_frame if positives == "frame" else one[0] == other[0]


def triplet(embeddings, identities, margin):
    """Schroff et al. 2015 with TensorFlow's rule for pairs that have no semi-hard negative."""
    points, terms = unit(embeddings.tolist()), []
    identities = list(identities)
    for a, anchor in enumerate(points):
        for p, positive in enumerate(points):
            if a == p or identities[a] != identities[p]:
                continue
            to_positive = squared_distance(anchor, positive)
            to_negatives = [
                squared_distance(anchor, point)
                for n, point in enumerate(points)
                if identities[n] != identities[a]
            ]
            farther = [distance for distance in to_negatives if distance > to_positive]
            to_negative = min(farther) if farther else max(to_negatives)
            terms.append(max(0.0, margin + to_positive - to_negative))
    return mean(terms)


def batch_hard(embeddings, identities, cost):
    """Hermans et al. 2017, equation 5, with squared distances."""
    points, terms = unit(embeddings.tolist()), []
    for a, anchor in enumerate(points):
        apart = [(squared_distance(anchor, point), identities[n]) for n, point in enumerate(points)]
        mates = [d for n, (d, identity) in enumerate(apart) if n != a and identity == identities[a]]
        if mates:
            others = [distance for distance, identity in apart if identity != identities[a]]
            terms.append(cost(max(mates) - min(others)))
    return mean(terms)


def hardness_probabilities(embeddings, identities):
    """Of each anchor with a positive: the probability of each positive, and of each negative."""
    points, answer = unit(embeddings.tolist()), {}
    for a, anchor in enumerate(points):
        distances = [squared_distance(anchor, point) for point in points]
        mates = [n for n in range(len(points)) if n != a and identities[n] == identities[a]]
        others = [n for n in range(len(points)) if identities[n] != identities[a]]
        if mates:
            to_mates = softmax([distances[n] for n in mates])
            to_others = softmax([-distances[n] for n in others])
            answer[a] = (
                dict(zip(mates, to_mates, strict=True)),
                dict(zip(others, to_others, strict=True)),
            )
    return answer


def hardness_sampled(embeddings, identities, draws, margin):
    """Sampling by walking along the probabilities until they have used up the draw."""
    points, terms = unit(embeddings.tolist()), []
    for a, (mates, others) in hardness_probabilities(embeddings, identities).items():
        chosen = []
        for probabilities, left in zip((mates, others), draws[a].tolist(), strict=True):
            candidates = list(probabilities)
            while left >= probabilities[candidates[0]] and len(candidates) > 1:
                left -= probabilities[candidates.pop(0)]
            chosen.append(squared_distance(points[a], points[candidates[0]]))
        terms.append(max(0.0, margin + chosen[0] - chosen[1]))
    return mean(terms)


def multi_positive_nce(embeddings, shots, positives, temperature):
    """Khosla et al. 2020, equation 2."""
    points = unit(embeddings.flatten(0, 3).tolist())
    where, terms = places(shots, *embeddings.shape[2:4]), []
    for i, point in enumerate(points):
        kinds = [belong_together(where[i], place, positives) for place in where]
        compared = [j for j, kind in enumerate(kinds) if kind is not None]
        mates = [j for j, kind in enumerate(kinds) if kind]
        exponentials = {j: math.exp(dot(point, points[j]) / temperature) for j in compared}
        if mates:
            partition = sum(exponentials.values())
            terms.append(-mean(math.log(exponentials[p] / partition) for p in mates))
    return mean(terms)


def vicreg(embeddings, shots, positives, invariance, variance, covariance):
    """Bardes et al. 2022, equations 1 to 6, over any number of slots."""
    points = embeddings.flatten(0, 3).tolist()
    where, dimension = places(shots, *embeddings.shape[2:4]), embeddings.shape[-1]
    close = mean(
        squared_distance(points[i], points[j]) / dimension
        for i, one in enumerate(where)
        for j, other in enumerate(where)
        if belong_together(one, other, positives)
    )
    slots = {}
    for point, (_, _, frame, view) in zip(points, where, strict=True):
        slots.setdefault(view if positives == "frame" else (frame, view), []).append(point)
    spread, redundancy = [], []
    for rows in slots.values():
        means = [mean(column) for column in zip(*rows, strict=True)]

        def covariance_of(j, k, rows=rows, means=means):
            return sum((x[j] - means[j]) * (x[k] - means[k]) for x in rows) / (len(rows) - 1)

        every = range(dimension)
        spread.append(mean(max(0, 1 - math.sqrt(covariance_of(j, j) + 1e-4)) for j in every))
        off = sum(covariance_of(j, k) ** 2 for j in every for k in every if j != k)
        redundancy.append(off / dimension)
    return invariance * close + 2 * variance * mean(spread) + 2 * covariance * mean(redundancy)


def self_distillation(students, teachers, shots, centre, positives, temperatures):
    """Caron et al. 2021, algorithm 1, over every ordered pair of different views of one thing."""
    cold, warm = temperatures[1], temperatures[0]
    centre = centre.tolist()
    where = places(shots, *students.shape[2:4])
    student = [softmax([x / warm for x in row]) for row in students.flatten(0, 3).tolist()]
    teacher = [
        softmax([(x - c) / cold for x, c in zip(row, centre, strict=True)])
        for row in teachers.flatten(0, 3).tolist()
    ]
    return mean(
        -sum(p * math.log(q) for p, q in zip(teacher[t], student[s], strict=True))
        for t, one in enumerate(where)
        for s, other in enumerate(where)
        if belong_together(one, other, positives)
    )


def future_shot_nce(predictions, targets):
    """METHOD: the numerator over the mean, over all videos u, of exp g."""
    predictions, targets = predictions.tolist(), targets.tolist()
    total = 0.0
    for v, prediction in enumerate(predictions):
        exponentials = [math.exp(dot(prediction, target)) for target in targets]
        total -= math.log(exponentials[v] / mean(exponentials))
    return total / len(predictions)


def future_shot_mse(predictions, targets):
    terms = []
    for predicted, column in zip(predictions.T.tolist(), targets.T.tolist(), strict=True):
        centre = mean(column)
        deviation = math.sqrt(mean((x - centre) ** 2 for x in column) + 1e-5)
        for guess, x in zip(predicted, column, strict=True):
            terms.append((guess - (x - centre) / deviation) ** 2)
    return mean(terms)


def standardised(rows):
    columns = []
    for column in zip(*rows, strict=True):
        centre = mean(column)
        deviation = math.sqrt(mean((x - centre) ** 2 for x in column) + 1e-5)
        columns.append([(x - centre) / deviation for x in column])
    return list(zip(*columns, strict=True))


def feature_cosine(students, teachers):
    guesses, wanted = (each.flatten(0, 3).tolist() for each in (students, teachers))
    pairs = zip(unit(guesses), unit(standardised(wanted)), strict=True)
    return mean(1 - dot(guess, target) for guess, target in pairs)


def feature_smooth_l1(students, teachers):
    guesses, wanted = (each.flatten(0, 3).tolist() for each in (students, teachers))
    terms = []
    for guess, target in zip(guesses, standardised(wanted), strict=True):
        for x, y in zip(guess, target, strict=True):
            far = abs(x - y)
            terms.append(far**2 / 2 if far < 1 else far - 0.5)
    return mean(terms)


def shot_order(logits, reversed):
    total = 0.0
    for logit, backward in zip(logits.tolist(), reversed.tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        total -= math.log(probability if backward else 1 - probability)
    return total / len(logits)


def classification(logits, labels, label_smoothing):
    terms = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        for c, probability in enumerate(softmax(row)):
            target = (1 - label_smoothing) * (c == label) + label_smoothing / len(row)
            terms.append(-target * math.log(probability))
    return sum(terms) / len(labels)
