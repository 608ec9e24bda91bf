"""Hugging Face's InferenceClient, every task that the server has, and those that it has not."""
import os

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from expected import ADDRESS, TEXTS, all_close, ask, close, main, vectors

client = InferenceClient(model=ADDRESS)
classifier = InferenceClient(model=os.environ["WDE_CLASSIFY_ADDRESS"])
tagger = InferenceClient(model=os.environ["WDE_NER_ADDRESS"])


def test_feature_extraction():
    all_close([client.feature_extraction(text)[0].tolist() for text in TEXTS], vectors(TEXTS))
    all_close(client.feature_extraction(TEXTS[0], normalize=True, truncate=True).tolist(), vectors(TEXTS[:1]))
    found = client.feature_extraction(TEXTS[0], normalize=False, truncation_direction="Left")[0].tolist()
    close(found, ask("/embed", {"inputs": TEXTS[0], "normalize": False})[0])


def test_similarity():
    found = client.sentence_similarity(TEXTS[0], TEXTS)
    v = vectors(TEXTS)
    close(found, [sum(a * b for a, b in zip(v[0], other)) for other in v])


def test_classification():
    found = classifier.text_classification(TEXTS[0])
    scores = [f.score for f in found]
    assert scores == sorted(scores, reverse=True) and abs(sum(scores) - 1) < 1e-5, found
    assert len({f.label for f in found}) == len(found) > 1, found
    best = classifier.text_classification(TEXTS[0], top_k=1)
    assert [(b.label, b.score) for b in best] == [(found[0].label, found[0].score)], best
    raw = classifier.text_classification(TEXTS[0], function_to_apply="none")
    assert [r.label for r in raw] == [f.label for f in found], raw
    assert abs(sum(r.score for r in raw) - 1) > 1e-3, raw


def test_entities():
    found = tagger.token_classification(TEXTS[0], aggregation_strategy="none")
    assert found and all(TEXTS[0][f.start:f.end].lower() == f.word.lower().removeprefix("##") for f in found), found
    grouped = tagger.token_classification(TEXTS[0], aggregation_strategy="simple")
    assert len(grouped) <= len(found) and all(g.entity_group for g in grouped), grouped


def refused(call, *words):
    try:
        found = call()
    except HfHubHTTPError as error:
        said = str(error) + (error.response.text if error.response is not None else "")
        assert error.response.status_code < 500 and all(word in said for word in words), said
        return
    raise AssertionError(found)


def test_what_is_refused():
    refused(lambda: classifier.zero_shot_classification("x", candidate_labels=["a", "b"]), "candidate_labels")
    refused(lambda: client.question_answering(question="who?", context="she"))


def test_tasks_that_the_body_does_not_name():
    """All send {"inputs": "…"}: the model answers with what it was made for, and the client does not take a vector for a label."""
    for call in [client.text_classification, client.token_classification, client.fill_mask]:
        try:
            found = call("the [MASK]")
        except (HfHubHTTPError, TypeError, ValueError):
            continue
        raise AssertionError(found)


if __name__ == "__main__":
    main(globals())
