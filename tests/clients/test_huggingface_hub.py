from huggingface_hub import InferenceClient

from expected import ADDRESS, TEXTS, all_close, close, main, vectors

client = InferenceClient(model=ADDRESS)


def test_feature_extraction():
    all_close([client.feature_extraction(text)[0].tolist() for text in TEXTS], vectors(TEXTS))
    all_close(client.feature_extraction(TEXTS[0], normalize=True, truncate=True).tolist(), vectors(TEXTS[:1]))


def test_similarity():
    found = client.sentence_similarity(TEXTS[0], TEXTS)
    v = vectors(TEXTS)
    close(found, [sum(a * b for a, b in zip(v[0], other)) for other in v])


if __name__ == "__main__":
    main(globals())
